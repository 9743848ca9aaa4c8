"""Which debug probe to use, where the user says so."""

from __future__ import annotations

PROBE_VARIABLE = "TRAINBENCH_PROBE"
"""Unique ID of the debug probe to use, where several are attached and no rack file names them."""
