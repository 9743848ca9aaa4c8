"""`trainbench search`: trials of schemes by real training, and what is chosen from them."""
