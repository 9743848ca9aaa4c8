"""`trainbench profile`: one scheme on one target, operator by operator."""
