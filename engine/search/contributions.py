"""What each part of a scheme contributes, measured one part at a time, and the sum that is maximised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.search.space import CLASSIFIER, Choice, Space


@dataclass(frozen=True)
class Contribution:
    """A difference with its standard error, in the unit of the measure; more is better."""

    value: float
    error: float


@dataclass(frozen=True)
class Contributions:
    """bias: by depth, against the classifier alone. weights: by (layer, ratio), on top of the biases from
    that layer on. A part that could not be trained is absent: nothing chooses it.
    """

    space: Space
    bias: Mapping[int, Contribution]
    weights: Mapping[tuple[int, float], Contribution]

    def depths(self) -> tuple[int, ...]:
        """Depths that can be chosen, ascending, 0 among them."""
        return tuple(depth for depth in self.space.depths if depth == 0 or depth in self.bias)

    def ratios(self, layer: int) -> tuple[float, ...]:
        """Ratios of a layer that can be chosen, ascending."""
        return tuple(ratio for ratio in self.space.ratios if (layer, ratio) in self.weights)

    def total(self, choice: Choice) -> float:
        """Sum over the parts of a choice, exactly rounded: independent of their order."""
        return math.fsum(self._values(choice))

    def error(self, choice: Choice) -> float:
        """Standard error of `total`, as if its parts were independent."""
        errors = [self.weights[part].error for part in choice.weights]
        errors += [self.bias[choice.depth].error] if choice.depth else []
        return math.sqrt(math.fsum(error**2 for error in errors))

    def _values(self, choice: Choice) -> Iterator[float]:
        if choice.depth:
            yield self.bias[choice.depth].value
        for part in choice.weights:
            yield self.weights[part].value


def parts(space: Space) -> tuple[Choice, ...]:
    """Every scheme that a contribution analysis trains, the classifier alone first, without repetition."""
    biases = [Choice(depth) for depth in space.depths if depth]
    weights = [
        Choice(space.depth_of(layer), ((layer, ratio),)) for layer in space.layers for ratio in space.ratios
    ]
    return (CLASSIFIER, *biases, *weights)
