"""Instructions of the kernels, one at a time, against their plain C."""
