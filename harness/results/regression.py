"""HEAD held against BASE, cell by cell: what got worse, what got better, and where nothing can be said.

| figure | held against each other |
|---|---|
| bytes: SRAM by its parts, flash, planned peak | exactly; less is better |
| step_ticks, predict_ticks in instructions | exactly, tick by tick; the lower sum is better |
| step_ticks, predict_ticks in cycles | interval of the relative change (`regression_statistics`) |
| state_digest | exactly, after every number of steps both have; a difference is `changed` |
| accuracy_after | interval, paired by seed and test image (`statistics.paired_difference`) |

Nanoseconds of a host process measure the host, and are left out. A cell that was built for another network,
dataset or with other options is not comparable as a whole. Accuracies count where they were computed.

Intervals are at 95 % for all of them together (Bonferroni over those that differ at all), so that a run over
many cells does not fail once in twenty for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from harness.results.comparison import Options
from harness.results.document import RunDocument
from harness.results.regression_document import Change, RegressionDocument, Verdict
from harness.results.regression_exact import Pair, exact_changes, lost_figures
from harness.results.regression_intervals import accuracy_changes, cycle_changes, interval_count
from harness.results.regression_statistics import CYCLE_TOLERANCE
from harness.results.statistics import LEVEL
from harness.results.tree import CellKey, by_cell


def compare_runs(
    base: Sequence[RunDocument], head: Sequence[RunDocument], *, tolerance: float = CYCLE_TOLERANCE
) -> tuple[Change, ...]:
    """Every figure of every cell of `base` and `head`, by cell. `tolerance`: relative, of cycles.

    Raises ResultsError where a side has a cell twice.
    """
    before, after = by_cell(base), by_cell(head)
    changes: list[Change] = []
    pairs: list[Pair] = []
    for key in sorted({*before, *after}):
        found = _cell(key, before.get(key), after.get(key))
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            changes.append(found)
    level = 1 - (1 - LEVEL) / max(1, interval_count(pairs))
    for pair in pairs:
        changes += lost_figures(pair)
        changes += exact_changes(pair)
        changes += cycle_changes(pair, tolerance, level)
    changes += accuracy_changes(pairs, level)
    return tuple(
        sorted(changes, key=lambda change: (change.suite, change.target, change.method, change.seeds))
    )


def exit_code(changes: Sequence[Change], *, allow_missing: bool = False) -> tuple[Literal[0, 1, 3], str]:
    """The code that CI gets, and why: 1 a regression, 3 nothing or not everything was measured, 0 neither."""
    compared = [change for change in changes if change.how is not None]
    worse = [change for change in changes if change.verdict in ("regression", "changed")]
    absent: tuple[Verdict, ...] = ("failed",) if allow_missing else ("failed", "missing")
    lost = [change for change in changes if change.verdict in absent]
    if worse:
        return 1, f"{_count(worse, 'figure')} got worse or changed, {len(compared)} compared"
    if lost:
        return (
            3,
            f"{_count(lost, 'cell')} of BASE or HEAD not measured in HEAD, {len(compared)} figures compared",
        )
    if not compared:
        return 3, "nothing was compared: no cell was measured in both and in the same way"
    better = [change for change in changes if change.verdict == "improvement"]
    return 0, f"{_count(compared, 'figure')} compared, none got worse, {len(better)} better"


def regression_document(
    base: Path,
    head: Path,
    before: Sequence[RunDocument],
    after: Sequence[RunDocument],
    tolerance: float = CYCLE_TOLERANCE,
    *,
    allow_missing: bool = False,
) -> RegressionDocument:
    """The comparison of two folders' documents, as it is stored."""
    changes = compare_runs(before, after, tolerance=tolerance)
    code, outcome = exit_code(changes, allow_missing=allow_missing)
    return RegressionDocument(
        base=str(base),
        head=str(head),
        base_revisions=revisions(before),
        head_revisions=revisions(after),
        cycle_tolerance=tolerance,
        changes=changes,
        exit_code=code,
        outcome=outcome,
    )


def revisions(documents: Sequence[RunDocument]) -> tuple[str, ...]:
    """Git revisions that `documents` were made at, `+` after one whose tree had changes."""
    origins = {
        (run.provenance.git_revision or "unknown", bool(run.provenance.git_dirty)) for run in documents
    }
    return tuple(sorted(f"{revision}{'+' * dirty}" for revision, dirty in origins))


def _count(changes: Sequence[Change], what: str) -> str:
    return f"{len(changes)} {what}{'' if len(changes) == 1 else 's'}"


def _cell(key: CellKey, base: RunDocument | None, head: RunDocument | None) -> Pair | Change:
    """Both finished and comparable, or what else became of the cell."""
    if base is not None and head is not None and base.status == head.status == "done":
        differs = _incomparable(base, head)
        pair = Pair(key, base, head)
        return pair if not differs else pair.change("cell", "", None, None, "not-comparable", None, differs)
    verdict, note = _without_measurement(base, head)
    return Change(
        suite=key.suite,
        target=key.target,
        method=key.method,
        seeds=(key.seed,),
        figure="cell",
        base=None if base is None else base.status,
        head=None if head is None else head.status,
        verdict=verdict,
        note=note,
    )


def _without_measurement(base: RunDocument | None, head: RunDocument | None) -> tuple[Verdict, str]:
    before = None if base is None else base.status
    if head is None:
        return ("missing", "HEAD does not have it") if before == "done" else ("unchanged", "in neither")
    if head.status == "done":
        return ("new", "BASE does not have it") if base is None else ("improvement", f"BASE: {base.reason}")
    if head.status == "not-run":
        return ("regression" if before == "done" else "unchanged"), head.reason
    if head.failure == "infrastructure" or before == "failed":
        return "failed", head.reason
    return "regression", head.reason


def _incomparable(base: RunDocument, head: RunDocument) -> str:
    """Why the two are not of the same work; empty when they are."""
    first, second = base.provenance, head.provenance
    for what, one, other in (
        ("network", first.model_digest[:12], second.model_digest[:12]),
        ("dataset", first.dataset_digest[:12], second.dataset_digest[:12]),
        ("core", base.core, head.core),
        ("options", str(Options.of(base.scheme)), str(Options.of(head.scheme))),
        ("trainable values", base.scheme.trainable_values, head.scheme.trainable_values),
    ):
        if one != other:
            return f"another {what}: {one} and {other}"
    return ""
