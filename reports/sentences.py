"""Sentences that mix our words with names from documents.

Such strings are escaped where they enter a sentence (`Markup.format`), so a sentence is safe to put in a
page.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from reports.numbers import THIN

LEVEL = f"95{THIN}%"
"""Of every interval."""


@dataclass(frozen=True)
class Finding:
    """One claim with its heading. `alarm`: something that puts figures in doubt."""

    heading: str
    text: Markup
    alarm: bool = False


def name(text: str) -> Markup:
    """A method or target inside a sentence; direction-isolated, so that it cannot reorder the figures."""
    return Markup('<bdi class="name">{}</bdi>').format(text)


def joined(parts: list[Markup], last: str = " and ") -> Markup:
    if len(parts) < 2:
        return Markup("").join(parts)
    return Markup(", ").join(parts[:-1]) + last + parts[-1]
