"""The best choice where costs add up: a knapsack, solved exactly.

Weights are taken layer by layer from the last one back, so that the layers seen so far are those within a
depth. Of the sums reached, only those are kept that nothing cheaper equals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.search.contributions import Contributions
from engine.search.costs import AdditiveCosts
from engine.search.space import CLASSIFIER, Choice

Parts = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class _Front:
    """Sums that nothing cheaper equals, ascending; how each was reached from the front before."""

    costs: NDArray[np.int64]
    values: NDArray[np.float64]
    before: NDArray[np.int64]
    taken: NDArray[np.int64]
    """Position in `options`; 0: nothing of this layer."""
    layer: int
    options: tuple[float, ...]


def optimum(contributions: Contributions, costs: AdditiveCosts, budget: int) -> Choice | None:
    """The choice of the largest total within `budget` bytes; None where not even the classifier fits.

    Of equal totals the cheapest. Totals are compared as sums of float64 in one order, so choices whose totals
    differ by rounding alone count as equal or not by it.
    """
    room = 8 * budget - costs.base
    if room < 0:
        return None
    best, best_value, best_cost = CLASSIFIER, 0.0, costs.base
    for depth, chosen in _by_depth(contributions, costs, room):
        choice = Choice(depth, chosen)
        value, cost = contributions.total(choice), costs.bits(choice)
        if value > best_value or (value == best_value and cost < best_cost):
            best, best_value, best_cost = choice, value, cost
    return best


def _by_depth(contributions: Contributions, costs: AdditiveCosts, room: int) -> list[tuple[int, Parts]]:
    """The best weights at every depth whose biases fit."""
    space = contributions.space
    nothing = np.zeros(1, np.int64)
    fronts = [_Front(nothing, np.zeros(1, np.float64), nothing, nothing, -1, (0.0,))]
    waiting = sorted(space.layers, reverse=True)
    found = []
    for depth in contributions.depths():
        while waiting and space.depth_of(waiting[0]) <= depth:
            fronts.append(_extended(fronts[-1], waiting.pop(0), contributions, costs, room))
        left = room - (costs.bias[depth] if depth else 0)
        affordable = int(np.searchsorted(fronts[-1].costs, left, side="right"))
        if affordable:
            found.append((depth, _trace(fronts, affordable - 1)))
    return found


def _extended(
    front: _Front, layer: int, contributions: Contributions, costs: AdditiveCosts, room: int
) -> _Front:
    gains = {ratio: contributions.weights[layer, ratio].value for ratio in contributions.ratios(layer)}
    options = (0.0, *(ratio for ratio, gain in gains.items() if gain > 0))
    all_costs = [front.costs + (costs.weights[layer, ratio] if ratio else 0) for ratio in options]
    all_values = [front.values + (gains[ratio] if ratio else 0.0) for ratio in options]
    size = len(front.costs)
    cost, value = np.concatenate(all_costs), np.concatenate(all_values)
    order = np.lexsort((-value, cost))
    order = order[cost[order] <= room]
    reached = np.maximum.accumulate(value[order])
    kept = order[np.concatenate([[True], reached[1:] > reached[:-1]])]
    return _Front(cost[kept], value[kept], kept % size, kept // size, layer, options)


def _trace(fronts: list[_Front], position: int) -> Parts:
    chosen = []
    for front in reversed(fronts[1:]):
        ratio = front.options[int(front.taken[position])]
        if ratio:
            chosen.append((front.layer, ratio))
        position = int(front.before[position])
    return tuple(sorted(chosen))
