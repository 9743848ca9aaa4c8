"""Update rules and quantization-aware scaling: tables 1, 3 and 4 of the paper, run here."""
