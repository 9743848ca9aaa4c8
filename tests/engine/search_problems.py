"""Small problems with random contributions and costs, and their solution by trying everything."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from hypothesis import strategies as st

from engine.search.contributions import Contribution, Contributions
from engine.search.costs import AdditiveCosts
from engine.search.space import Choice, Space

CONVOLUTIONS = 9


def all_choices(contributions: Contributions) -> Iterator[Choice]:
    space = contributions.space
    for depth in contributions.depths():
        layers = space.within(depth)
        for ratios in product(*((0.0, *contributions.ratios(layer)) for layer in layers)):
            yield Choice(depth, tuple((layer, r) for layer, r in zip(layers, ratios, strict=True) if r))


def best_by_trying(contributions: Contributions, costs: AdditiveCosts, budget: int) -> float | None:
    fitting = [c for c in all_choices(contributions) if costs.bytes(c) <= budget]
    return max(map(contributions.total, fitting), default=None)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Contributions, AdditiveCosts]:
    """Up to three layers and three ratios; some parts missing, as if they had diverged."""
    layers = tuple(sorted(draw(st.sets(st.integers(0, CONVOLUTIONS - 1), max_size=3))))
    more = draw(st.sets(st.integers(1, CONVOLUTIONS), max_size=3))
    depths = tuple(sorted({0, *more, *(CONVOLUTIONS - layer for layer in layers)}))
    ratios = draw(st.sampled_from([(1.0,), (0.5, 1.0), (0.125, 0.25, 1.0)]))
    space = Space(CONVOLUTIONS, depths, layers, ratios)
    # Eighths: sums are exact, so that equal totals are equal however they are added.
    value = st.integers(-40, 80).map(lambda eighths: Contribution(eighths / 8, 0.1))
    cost = st.integers(0, 400)
    present = st.integers(0, 9).map(bool)
    bias = {depth: draw(value) for depth in depths if depth and draw(present)}
    parts = [(layer, ratio) for layer in layers for ratio in ratios]
    weights = {part: draw(value) for part in parts if draw(present)}
    contributions = Contributions(space, bias, weights)
    bits = AdditiveCosts(
        draw(cost), {depth: draw(cost) for depth in depths if depth}, {part: draw(cost) for part in parts}
    )
    return contributions, bits
