"""Time of a training step: what the paper says of it, beside the instructions counted here."""
