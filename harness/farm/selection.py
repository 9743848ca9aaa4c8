"""`farm:TAG`: which places of a farm a target name means.

`farm:rack=a` takes places whose tag `rack` is `a`, `farm:m7` those that have a tag `m7`, whatever its value;
several are separated by commas and have to hold together. `farm:` takes every place that has a `target` tag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.declaration import Strict
from harness.errors import UsageError

PREFIX = "farm:"
_TERM = re.compile(r"(?P<key>[a-z][a-z0-9_]*)(=(?P<value>[^=,]+))?")


class Selection(Strict):
    """Tags that a place must have; value None: any."""

    terms: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Selection:
        """`farm:TAG,TAG=VALUE` as a selection; UsageError for anything else."""
        terms = []
        for term in text.removeprefix(PREFIX).split(","):
            match = _TERM.fullmatch(term)
            if match is None and text != PREFIX:
                raise UsageError(
                    f"{text!r} names no places; write farm:TAG or farm:KEY=VALUE, separated by commas"
                )
            if match is not None:
                terms.append((match["key"], match["value"]))
        return cls(terms=tuple(terms))

    def matches(self, tags: Mapping[str, str]) -> bool:
        return all(key in tags and value in (None, tags[key]) for key, value in self.terms)

    def __str__(self) -> str:
        return PREFIX + ",".join(key if value is None else f"{key}={value}" for key, value in self.terms)


def is_farm(target: str) -> bool:
    """Whether a target name means places of a farm."""
    return target.startswith(PREFIX)
