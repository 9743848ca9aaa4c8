"""One module per operator family, and the NumPy reference of every kernel."""
