"""Contribution analysis: a learning rate chosen once, then every part of a scheme trained on its own.

Everything is scored on images of the validation part, or of the training and validation parts together by
cross-validation; the test part is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.search.contributions import Contribution, Contributions, parts
from engine.search.space import CLASSIFIER, Choice, Space, describe
from harness.errors import HarnessError
from harness.search.evaluation import Evaluation
from harness.search.laboratory import Laboratory
from harness.search.scores import difference, mean_score
from harness.search.setting import Trial


class NoRateError(HarnessError):
    """A grid of learning rates at which some probe diverged each time."""


@dataclass(frozen=True)
class RateChoice:
    """The learning rate of all trials, and how it was chosen."""

    rate: float
    scores: Mapping[float, float | None]
    """By rate: the mean score of the probes; None where one diverged. Empty: the rate was given."""
    probes: tuple[Choice, ...]


@dataclass(frozen=True)
class Analysis:
    """rate, contributions, and the trials they come from: by choice, one a seed."""

    rate: RateChoice
    contributions: Contributions
    evaluations: Mapping[Choice, Sequence[Evaluation]]
    diverged: tuple[Choice, ...]


def probes(space: Space) -> tuple[Choice, ...]:
    """Schemes whose mean score decides the learning rate: small, medium, and with weights.

    One rate for all: contributions are compared with each other, and a rate for each would add the luck of
    choosing it to every difference.
    """
    middle = space.depths[len(space.depths) // 2]
    within = space.within(middle)
    weights = tuple((layer, space.ratios[-1]) for layer in within[:1])
    return tuple(dict.fromkeys((CLASSIFIER, Choice(middle), Choice(middle, weights))))


def choose_rate(
    laboratory: Laboratory, chosen: Sequence[Choice], rates: Sequence[float], seed: int, measure: str
) -> RateChoice:
    """The rate with the best mean score of the probes; of equal ones the smallest. What diverged is out.

    chosen: the probes.
    """
    if len(rates) == 1:
        return RateChoice(rates[0], {}, ())
    trials = [Trial(choice, rate, seed) for rate in rates for choice in chosen]
    found = laboratory.evaluate("choosing the learning rate", trials)
    scores: dict[float, float | None] = {}
    for rate in rates:
        scores[rate] = mean_score([one for one in found if one.learning_rate == rate], measure)
    usable = {rate: score for rate, score in scores.items() if score is not None}
    if not usable:
        reasons = sorted({one.reason for one in found if one.reason})
        raise NoRateError(f"training diverged at every learning rate of the grid: {reasons[0]}")
    return RateChoice(min(usable, key=lambda rate: (-usable[rate], rate)), scores, tuple(chosen))


def analyse(
    laboratory: Laboratory, space: Space, rate: RateChoice, seeds: Sequence[int], measure: str
) -> Analysis:
    """Train every part of the space on its own and take the differences.

    Raises NoRateError where the classifier alone diverges. Another part that diverges is left out.
    """
    wanted = parts(space)
    found = laboratory.scores_of("contribution analysis", wanted, rate.rate, seeds)
    if any(one.status != "done" for one in found[CLASSIFIER]):
        raise NoRateError(
            f"the classifier alone diverged at a learning rate of {rate.rate:g}; give a lower one"
        )
    bias: dict[int, Contribution] = {}
    weights: dict[tuple[int, float], Contribution] = {}
    diverged = []
    for choice in wanted[1:]:
        base = Choice(choice.depth) if choice.weights else CLASSIFIER
        gain = difference(found[choice], found[base], measure)
        if gain is None:
            diverged.append(choice)
        elif choice.weights:
            weights[choice.weights[0]] = gain
        else:
            bias[choice.depth] = gain
    return Analysis(rate, Contributions(space, bias, weights), found, tuple(diverged))


def edge_notes(rate: RateChoice) -> list[str]:
    """A sentence where the best rate is an end of the grid: a better one may lie beyond."""
    ends = {min(rate.scores): "smallest", max(rate.scores): "largest"} if rate.scores else {}
    if rate.rate not in ends:
        return []
    return [
        f"the chosen learning rate {rate.rate:g} is the {ends[rate.rate]} of the grid,"
        " a better one may lie beyond"
    ]


def diverged_notes(analysis: Analysis) -> list[str]:
    """A sentence where parts could not be trained."""
    if not analysis.diverged:
        return []
    names = ", ".join(map(describe, analysis.diverged))
    return [f"diverged at a learning rate of {analysis.rate.rate:g} and cannot be chosen: {names}"]
