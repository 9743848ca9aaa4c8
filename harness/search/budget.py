"""A memory budget as the user writes it."""

from __future__ import annotations

import re

from harness.errors import UsageError

_UNITS = {"": 1, "b": 1, "kb": 1024, "kib": 1024, "mb": 1024**2, "mib": 1024**2}
_FORM = re.compile(r"^(\d{1,12}(?:\.\d{1,6})?) ?([A-Za-z]*)$", re.ASCII)


def parse_budget(text: str) -> int:
    """Bytes of `100KB`, `96KiB`, `1.5MB` or `98304` (1 KB = 1024 bytes); UsageError for anything else."""
    match = _FORM.match(text)
    factor = _UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise UsageError(
            f"a budget of {text!r} makes no sense; give bytes, or KB or MB such as 100KB (1 KB = 1024 bytes)"
        )
    size = float(match[1]) * factor
    if not size.is_integer() or size < 1:
        raise UsageError(f"a budget of {text!r} is {size:g} bytes; it has to be a whole number above zero")
    return int(size)
