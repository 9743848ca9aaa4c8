"""A run: from what was asked for to run documents, method by method, cell by cell."""
