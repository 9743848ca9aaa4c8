"""`trainbench accuracy`: the protocol by which accuracies are compared."""
