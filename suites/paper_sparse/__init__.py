"""Sparse update against last layers and biases: Fig. 9 of the paper, run here."""
