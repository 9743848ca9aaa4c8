"""Freeze until the accuracy dips: from everything trained, one group at a time, while the score holds.

The groups are the weights of each layer, then the biases of each depth from the front. What is left when
freezing the next group would cost more than the threshold is the scheme.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.search.space import Choice, Space

ORDERS = ("contribution", "greedy", "memory")

Scores = Callable[[Sequence[Choice]], Sequence[float | None]]
"""Score of each choice, more is better; None: it could not be trained."""


@dataclass(frozen=True)
class Step:
    """One trial of freezing. `kept`: whether the score held, so that the group stays frozen."""

    choice: Choice
    score: float | None
    kept: bool


@dataclass(frozen=True)
class Frozen:
    """What remains, its score, that of everything trained, and every trial in order."""

    choice: Choice
    score: float
    start_score: float
    steps: tuple[Step, ...]


def everything(space: Space) -> Choice:
    """All biases and all weights of the space."""
    ratio = space.ratios[-1]
    return Choice(space.depths[-1], tuple((layer, ratio) for layer in space.layers))


def without(choice: Choice, layer: int) -> Choice:
    """The choice with the weights of one layer frozen."""
    return Choice(choice.depth, tuple(part for part in choice.weights if part[0] != layer))


def shallower(choice: Choice, space: Space) -> Choice:
    """The choice with the biases of its front group frozen; its weights have to be frozen before."""
    return Choice(max(depth for depth in space.depths if depth < choice.depth), choice.weights)


def next_choices(choice: Choice, space: Space) -> tuple[Choice, ...]:
    """What one more frozen group leaves: any one layer's weights, then the biases from the front."""
    if choice.weights:
        return tuple(without(choice, layer) for layer, _ in choice.weights)
    return (shallower(choice, space),) if choice.depth else ()


def freeze_in_order(
    space: Space, order: Sequence[int], scores: Scores, start_score: float, threshold: float
) -> Frozen:
    """Freeze the weights of the layers in `order`, then biases from the front, to the first dip.

    A dip: a score more than `threshold` below `start_score`, or none.
    """
    assert sorted(order) == sorted(space.layers)
    choice, score, steps = everything(space), start_score, []
    waiting = list(order)
    while choice.weights or choice.depth:
        trial = without(choice, waiting.pop(0)) if choice.weights else shallower(choice, space)
        (found,) = scores([trial])
        kept = found is not None and found >= start_score - threshold
        steps.append(Step(trial, found, kept))
        if found is None or not kept:
            break
        choice, score = trial, found
    return Frozen(choice, score, start_score, tuple(steps))


def freeze_greedily(space: Space, scores: Scores, start_score: float, threshold: float) -> Frozen:
    """Freeze whichever group leaves the highest score, to the first dip; of equal ones the earliest layer."""
    choice, score, steps = everything(space), start_score, []
    while trials := next_choices(choice, space):
        found = list(scores(trials))
        reached = [(value, -place) for place, value in enumerate(found) if value is not None]
        best = -max(reached)[1] if reached else None
        value = None if best is None else found[best]
        holds = value is not None and value >= start_score - threshold
        steps += [
            Step(trial, one, holds and place == best)
            for place, (trial, one) in enumerate(zip(trials, found, strict=True))
        ]
        if best is None or value is None or not holds:
            break
        choice, score = trials[best], value
    return Frozen(choice, score, start_score, tuple(steps))
