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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np

from harness.results.comparison import Options, correctness
from harness.results.document import RunDocument, TickSeries
from harness.results.regression_document import Change, How, RegressionDocument, Verdict
from harness.results.regression_statistics import CYCLE_TOLERANCE, MINIMUM_SAMPLES, relative_change
from harness.results.statistics import LEVEL, paired_difference
from harness.results.tree import CellKey, by_cell

SRAM_FIGURES = ("peak", "static", "state", "arena", "stack", "agent")
TICK_FIGURES = ("step_ticks", "predict_ticks")


@dataclass(frozen=True)
class Pair:
    """One cell, finished in both."""

    key: CellKey
    base: RunDocument
    head: RunDocument

    def change(
        self,
        figure: str,
        unit: str,
        base: float | int | str | None,
        head: float | int | str | None,
        verdict: Verdict,
        how: How | None = "exact",
        note: str = "",
    ) -> Change:
        unstable = "unstable: measured after a retry" if self.base.retries or self.head.retries else ""
        return Change(
            suite=self.key.suite,
            target=self.key.target,
            method=self.key.method,
            seeds=(self.key.seed,),
            figure=figure,
            unit=unit,
            base=base,
            head=head,
            how=how,
            verdict=verdict,
            note="; ".join(part for part in (note, unstable) if part),
        )


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
    level = 1 - (1 - LEVEL) / max(1, _interval_count(pairs))
    for pair in pairs:
        changes += _lost_figures(pair)
        changes += _exact_changes(pair)
        changes += _cycle_changes(pair, tolerance, level)
    changes += _accuracy_changes(pairs, level)
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


def _lost_figures(pair: Pair) -> Iterator[Change]:
    """What BASE measured and HEAD did not."""
    for figure in ("sections", "sram", "step_ticks", "predict_ticks", "digests", "accuracy"):
        if getattr(pair.base, figure) and not getattr(pair.head, figure):
            yield pair.change(figure, "", None, None, "missing", None, "BASE measured it, HEAD did not")


def _exact_changes(pair: Pair) -> Iterator[Change]:
    base, head = pair.base, pair.head
    tools = _tools(pair)
    if base.sram is not None and head.sram is not None:
        for name in SRAM_FIGURES:
            figure = "peak_sram" if name == "peak" else name
            yield _less_is_better(pair, figure, getattr(base.sram, name), getattr(head.sram, name), tools)
    if base.sections is not None and head.sections is not None:
        yield _less_is_better(pair, "flash", base.sections.flash, head.sections.flash, tools)
    if base.plan is not None and head.plan is not None:
        yield _less_is_better(pair, "plan_peak", base.plan.arena_bytes, head.plan.arena_bytes, tools)
    for figure, one, other in _ticks(pair):
        if one.unit != other.unit or (one.unit == "instructions" and len(one.values) != len(other.values)):
            note = f"{len(one.values)} {one.unit} and {len(other.values)} {other.unit}"
            yield pair.change(figure, one.unit, None, None, "not-comparable", None, note)
        elif one.unit == "instructions":
            yield _instructions(pair, figure, one, other, tools)
    if (change := _digests(pair)) is not None:
        yield change


def _tools(pair: Pair) -> str:
    """What else differs, as a reason for other bytes and instructions."""
    first, second = pair.base.provenance, pair.head.provenance
    found = []
    if first.toolchain != second.toolchain:
        found.append(f"compiler {first.toolchain} and {second.toolchain}")
    if first.compiler_flags != second.compiler_flags:
        found.append("other compiler flags")
    one, other = first.versions.get("qemu"), second.versions.get("qemu")
    if one != other:
        found.append(f"emulator {one} and {other}")
    return "; ".join(found)


def _less_is_better(pair: Pair, figure: str, base: int, head: int, note: str) -> Change:
    verdict: Verdict = "unchanged" if base == head else "regression" if head > base else "improvement"
    return pair.change(figure, "bytes", base, head, verdict, "exact", note if base != head else "")


def _ticks(pair: Pair) -> Iterator[tuple[str, TickSeries, TickSeries]]:
    for figure in TICK_FIGURES:
        one: TickSeries | None = getattr(pair.base, figure)
        other: TickSeries | None = getattr(pair.head, figure)
        if one is not None and other is not None and one.values and other.values:
            yield figure, one, other


def _middle(ticks: TickSeries) -> float | int:
    middle = median(ticks.values)
    return int(middle) if float(middle).is_integer() else middle


def _instructions(pair: Pair, figure: str, one: TickSeries, other: TickSeries, tools: str) -> Change:
    before, after = sum(one.values), sum(other.values)
    same = one.values == other.values
    verdict: Verdict = "unchanged" if same else "changed"
    if before != after:
        verdict = "regression" if after > before else "improvement"
    count = sum(a != b for a, b in zip(one.values, other.values, strict=True))
    note = "" if same else "; ".join(filter(None, [f"{count} of {len(one.values)} differ", tools]))
    return pair.change(figure, one.unit, _middle(one), _middle(other), verdict, "exact", note)


def _digests(pair: Pair) -> Change | None:
    one, other = ({digest.steps: digest.state for digest in run.digests} for run in (pair.base, pair.head))
    if not one or not other:
        return None
    shared = sorted({*one} & {*other})
    if not shared:
        note = "no state was digested after the same number of steps"
        return pair.change("state_digest", "", None, None, "not-comparable", None, note)
    differing = [steps for steps in shared if one[steps] != other[steps]]
    steps = differing[0] if differing else shared[-1]
    verdict: Verdict = "changed" if differing else "unchanged"
    note = "the trainer computes other bits" if differing else ""
    return pair.change(
        "state_digest", f"sha256 after {steps} steps", one[steps], other[steps], verdict, "exact", note
    )


def _cycle_changes(pair: Pair, tolerance: float, level: float) -> Iterator[Change]:
    for figure, one, other in _ticks(pair):
        if one.unit != "cycles" or other.unit != "cycles":
            continue
        medians = (_middle(one), _middle(other))
        if min(len(one.values), len(other.values)) < MINIMUM_SAMPLES:
            note = f"{len(one.values)} and {len(other.values)} samples; it takes {MINIMUM_SAMPLES}"
            yield pair.change(figure, one.unit, *medians, "not-comparable", None, note)
            continue
        found = relative_change(one.values, other.values, level=level)
        verdict: Verdict = "undecided"
        if found.low > tolerance or found.high < -tolerance:
            verdict = "regression" if found.low > tolerance else "improvement"
        elif -tolerance <= found.low and found.high <= tolerance:
            verdict = "unchanged"
        note = f"{found.value:+.2%}, " + ("paired" if found.paired else "not paired")
        change = pair.change(figure, one.unit, *medians, verdict, "interval", note)
        yield change.model_copy(update={"low": found.low, "high": found.high})


def _own_accuracies(pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs whose accuracy was computed on their own target, in both."""
    return [
        pair
        for pair in pairs
        if pair.base.accuracy is not None
        and pair.head.accuracy is not None
        and pair.base.accuracy.computed_on == pair.head.accuracy.computed_on == pair.key.target
    ]


def _accuracy_changes(pairs: Sequence[Pair], level: float) -> Iterator[Change]:
    """One a method on a target, over the seeds that both have."""

    def method(pair: Pair) -> CellKey:
        return pair.key._replace(seed=0)

    for _, group in groupby(sorted(_own_accuracies(pairs), key=lambda pair: pair.key), key=method):
        yield _accuracy_change(list(group), level)


def _accuracy_change(pairs: Sequence[Pair], level: float) -> Change:
    first = pairs[0]
    seeds = tuple(pair.key.seed for pair in pairs)
    labels = {run.accuracy.test_labels for pair in pairs for run in (pair.base, pair.head) if run.accuracy}
    if len(labels) > 1:
        note = "tested on different images"
        change = first.change("accuracy_after", "fraction", None, None, "not-comparable", None, note)
        return change.model_copy(update={"seeds": seeds})
    base, head = (
        np.stack([correctness(run.accuracy)[1] for run in side if run.accuracy is not None])
        for side in ([pair.base for pair in pairs], [pair.head for pair in pairs])
    )
    found = paired_difference(head, base, level=level)
    verdict: Verdict = "undecided"
    if found.discordant == 0:
        verdict = "unchanged"
    elif found.distinguishable:
        verdict = "regression" if found.value < 0 else "improvement"
    note = "" if found.covers_seeds else "one seed: nothing is known of others"
    change = first.change(
        "accuracy_after", "fraction", float(base.mean()), float(head.mean()), verdict, "interval", note
    )
    return change.model_copy(update={"seeds": seeds, "low": found.low, "high": found.high})


def _interval_count(pairs: Sequence[Pair]) -> int:
    """Comparisons by interval that could come out either way: those whose data differ at all."""
    cycles = sum(
        one.unit == other.unit == "cycles" and one.values != other.values
        for pair in pairs
        for _, one, other in _ticks(pair)
    )
    methods = {
        pair.key._replace(seed=0)
        for pair in _own_accuracies(pairs)
        if pair.base.accuracy is not None
        and pair.head.accuracy is not None
        and pair.base.accuracy.predicted_after != pair.head.accuracy.predicted_after
    }
    return cycles + len(methods)
