"""What a comparison of two runs found: one entry a figure, the same for table, JSON and CSV."""

from __future__ import annotations

from typing import Literal

from harness.results.document import Document

Verdict = Literal[
    "regression",
    "changed",
    "failed",
    "missing",
    "improvement",
    "new",
    "not-comparable",
    "undecided",
    "unchanged",
]
"""By weight. changed: exact figures that differ without a better or worse (state digests).
failed: HEAD has no measurement, and the trainer is not known to be why. undecided: the data cannot tell."""

How = Literal["exact", "interval"]


class Change(Document):
    """One figure of one cell in BASE and HEAD."""

    suite: str
    target: str
    method: str
    seeds: tuple[int, ...]
    figure: str
    """`cell` is the cell itself: missing, failed, run for the first time."""
    unit: str = ""
    base: float | int | str | None = None
    head: float | int | str | None = None
    how: How | None = None
    """None: nothing was held against each other."""
    low: float | None = None
    high: float | None = None
    """95 % interval, of intervals: of HEAD - BASE for accuracy, of HEAD / BASE - 1 for cycles."""
    verdict: Verdict
    note: str = ""

    @property
    def where(self) -> str:
        seeds = ", ".join(map(str, self.seeds))
        return f"{self.suite}: {self.method} on {self.target}, seed{'s' * (len(self.seeds) > 1)} {seeds}"


class RegressionDocument(Document):
    """HEAD held against BASE."""

    schema_version: Literal[1] = 1
    base: str
    head: str
    """Folders."""
    base_revisions: tuple[str, ...]
    head_revisions: tuple[str, ...]
    """Git revisions, `+` after one whose tree had changes."""
    cycle_tolerance: float
    changes: tuple[Change, ...]
    exit_code: Literal[0, 1, 3]
    outcome: str
    """One sentence."""

    def of(self, *verdicts: Verdict) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.verdict in verdicts)
