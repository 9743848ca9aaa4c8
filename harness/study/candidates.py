"""Learning rates that are tried for a method, and the choice among them.

A method with a grid for its convolutions is searched along one axis at a time: all factors at one learning
rate (the one it declares, else the middle of its grid), then all learning rates at the best factor. That is
F + R - 1 trainings in place of F x R.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import HarnessError
from harness.results.comparison import correctness
from harness.results.document import RunDocument
from harness.study.variants import changed
from harness.suite import Method


class StudyError(HarnessError):
    """A method for which no learning rate of the grid works."""


@dataclass(frozen=True, order=True)
class Rates:
    """What is chosen for a method. `convolution`: factor on the learning rate for convolutions."""

    learning: float
    convolution: float


@dataclass(frozen=True)
class Score:
    """Validation accuracy of a pair of rates over selection folds and seeds; None: a training failed."""

    rates: Rates
    accuracy: float | None
    images: int
    reason: str = ""


def first_candidates(method: Method) -> tuple[Rates, ...]:
    """Every learning rate; for a method with a grid for its convolutions, every factor at one of them."""
    if not method.convolution_rates:
        return tuple(Rates(rate, method.convolution_rate) for rate in method.learning_rates)
    rate = _start(method)
    return tuple(Rates(rate, factor) for factor in method.convolution_rates)


def second_candidates(method: Method, scores: Sequence[Score]) -> tuple[Rates, ...]:
    """What is left to try after `scores` of the first ones: the other learning rates at the best factor."""
    if not method.convolution_rates:
        return ()
    best = best_score(method, scores)
    tried = {score.rates for score in scores}
    wanted = (Rates(rate, best.rates.convolution) for rate in method.learning_rates)
    return tuple(rates for rates in wanted if rates not in tried)


def _start(method: Method) -> float:
    grid = sorted(method.learning_rates)
    return method.learning_rate if method.learning_rate in grid else grid[(len(grid) - 1) // 2]


def candidate(method: Method, rates: Rates) -> Method:
    """`method` at `rates`, under a name of its own."""
    name = f"{method.name} lr={rates.learning:g}"
    name += f" convolutions x{rates.convolution:g}" if method.convolution_rates else ""
    return changed(at_rates(method, rates), name=name)


def at_rates(method: Method, rates: Rates) -> Method:
    """`method` at `rates`, under its own name."""
    return changed(
        method,
        scheme=method.scheme_name,
        learning_rate=rates.learning,
        convolution_rate=rates.convolution,
    )


def scores(method: Method, tried: Iterable[Rates], selected: Sequence[RunDocument]) -> tuple[Score, ...]:
    """The score of each of `tried`, from the documents of all selection folds and seeds."""
    return tuple(_score(rates, candidate(method, rates).name, selected) for rates in tried)


def _score(rates: Rates, name: str, selected: Sequence[RunDocument]) -> Score:
    runs = [run for run in selected if run.method == name]
    failed = next((run for run in runs if run.status != "done"), None)
    if failed is not None:
        return Score(rates, None, 0, failed.reason or "it was not run")
    correct = [correctness(run.accuracy)[1] for run in runs if run.accuracy is not None]
    if len(correct) != len(runs) or not runs:
        raise StudyError(f"{name} has no validation accuracy")
    every = np.concatenate(correct)
    return Score(rates, float(every.mean()), len(every))


def best_score(method: Method, found: Sequence[Score]) -> Score:
    """The highest accuracy; of equal ones the smallest rates. StudyError where every training failed."""
    working = [score for score in found if score.accuracy is not None]
    if not working:
        reasons = "; ".join(sorted({score.reason for score in found}))
        raise StudyError(f"{method.name} trained at no learning rate of the grid: {reasons}")
    return min(working, key=lambda score: (-(score.accuracy or 0.0), score.rates))


def edge_warnings(methods: Sequence[Method], chosen: Mapping[str, Rates]) -> list[str]:
    """Sentences for methods whose choice is an end of its grid: a better one may lie beyond."""
    return [
        f"{method.name}: the chosen {what} {value:g} is the {word} of the grid, a better one may lie beyond"
        for method in methods
        for what, value, grid in (
            ("learning rate", chosen[method.name].learning, method.learning_rates),
            ("factor of convolutions", chosen[method.name].convolution, method.convolution_rates),
        )
        if len(grid) > 1
        for word, end in (("smallest", min(grid)), ("largest", max(grid)))
        if value == end
    ]


def failure_warnings(methods: Sequence[Method], found: Mapping[str, Sequence[Score]]) -> list[str]:
    """Sentences for rates that are out because a training failed."""
    return [
        f"{candidate(method, score.rates).name} is out: {score.reason}"
        for method in methods
        for score in found[method.name]
        if score.accuracy is None
    ]
