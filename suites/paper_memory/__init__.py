"""Memory to train: what the paper says of it, beside what is measured here."""
