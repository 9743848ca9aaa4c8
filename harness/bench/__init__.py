"""Instructions of the kernels, one at a time, against the same source compiled without DSP instructions."""
