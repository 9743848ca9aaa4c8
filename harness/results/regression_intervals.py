"""Figures of cells that are held against each other by interval: cycles, and accuracy over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from harness.results.comparison import correctness
from harness.results.regression_document import Change, Verdict
from harness.results.regression_exact import Pair, middle, tick_pairs
from harness.results.regression_statistics import MINIMUM_SAMPLES, relative_change
from harness.results.statistics import paired_difference
from harness.results.tree import CellKey


def cycle_changes(pair: Pair, tolerance: float, level: float) -> Iterator[Change]:
    for figure, one, other in tick_pairs(pair):
        if one.unit != "cycles" or other.unit != "cycles":
            continue
        medians = (middle(one), middle(other))
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


def accuracy_changes(pairs: Sequence[Pair], level: float) -> Iterator[Change]:
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


def interval_count(pairs: Sequence[Pair]) -> int:
    """Comparisons by interval that could come out either way: those whose data differ at all."""
    cycles = sum(
        one.unit == other.unit == "cycles" and one.values != other.values
        for pair in pairs
        for _, one, other in tick_pairs(pair)
    )
    methods = {
        pair.key._replace(seed=0)
        for pair in _own_accuracies(pairs)
        if pair.base.accuracy is not None
        and pair.head.accuracy is not None
        and pair.base.accuracy.predicted_after != pair.head.accuracy.predicted_after
    }
    return cycles + len(methods)
