"""People detection: is a person in the picture? Train a quantized backbone on it, on the device."""
