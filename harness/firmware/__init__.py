"""Trainer folder → firmware: toolchain, flags, build, and what the ELF file reserves."""
