"""What to update: accuracy, memory and instructions of every way to choose the weights that are trained."""
