"""Numbers as the report writes them: thin separators, units of 1024 bytes, a true minus sign."""

from __future__ import annotations

import math

THIN = "\u202f"
"""Narrow no-break space: between groups of three digits and before a unit."""
MINUS = "\u2212"
DASH = "\u2013"
KB = 1024


def count(number: float) -> str:
    """1234567 → '1 234 567'; a fractional number keeps one decimal."""
    text = f"{number:,.0f}" if float(number).is_integer() else f"{number:,.1f}"
    return text.replace(",", THIN).replace("-", MINUS)


def kilobytes(size: int) -> str:
    """Bytes in the largest of bytes, KB and MB (1 KB = 1024 bytes) that is not below 1."""
    if size < KB:
        return f"{size}{THIN}bytes"
    value, unit = (size / KB, "KB") if size < KB * KB else (size / KB / KB, "MB")
    digits = 2 if unit == "MB" else 1
    text = f"{value:,.{digits}f}".replace(",", THIN)
    return f"{text.removesuffix('.0').removesuffix('.00')}{THIN}{unit}"


def percent(fraction: float) -> str:
    """0.9131 → '91.3', without the sign. What is not 0 or 100 % is never rounded to it."""
    text = f"{100 * fraction:.1f}"
    if text in ("0.0", "100.0") and fraction not in (0.0, 1.0):
        return f"{100 * fraction:.2g}" if fraction < 0.5 else f"{math.floor(10000 * fraction) / 100:.2f}"
    return text


def percent_range(low: float, high: float) -> str:
    return f"{percent(low)}{DASH}{percent(high)}"


def points(fraction: float) -> str:
    """A difference in percentage points, signed. What is not zero is never rounded to zero."""
    value = 100 * fraction
    text = f"{value:+.1f}"
    if float(text) == 0.0:
        text = f"{value:+.2g}" if value else "0"
    return text.replace("-", MINUS)


def points_range(low: float, high: float) -> str:
    return f"{points(low)} to {points(high)}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """'1 seed', '3 seeds'."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def listed(parts: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
