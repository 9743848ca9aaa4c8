"""Random schemes and random changes of schemes; everything comes from the generator that is handed in."""

from __future__ import annotations

import numpy as np

from engine.search.contributions import Contributions
from engine.search.space import Choice

Generator = np.random.Generator

DEPTH_SHARE = 0.2
"""Of the steps towards less: how many take a lower depth."""


def random_choice(contributions: Contributions, generator: Generator) -> Choice:
    """A depth, how many of its layers train weights, which, and at what ratios: each uniform."""
    depths = contributions.depths()
    depth = depths[int(generator.integers(len(depths)))]
    open_layers = _open_layers(contributions, depth)
    count = int(generator.integers(len(open_layers) + 1))
    layers = sorted(open_layers[int(index)] for index in generator.permutation(len(open_layers))[:count])
    return Choice(depth, tuple((layer, _random_ratio(contributions, layer, generator)) for layer in layers))


def mutated(choice: Choice, contributions: Contributions, generator: Generator) -> Choice:
    """One random change: another depth, another ratio of a layer or none, or another layer instead."""
    depths, weights = contributions.depths(), dict(choice.weights)
    depth = choice.depth
    kind = int(generator.integers(4))
    open_layers = _open_layers(contributions, depth)
    if kind == 0 or not open_layers:
        step = int(generator.choice([-2, -1, 1, 2]))
        depth = depths[min(max(depths.index(depth) + step, 0), len(depths) - 1)]
    elif kind == 1 and weights:
        del weights[_pick(sorted(weights), generator)]
    elif kind == 2 and weights:
        del weights[_pick(sorted(weights), generator)]
        layer = _pick(list(open_layers), generator)
        weights[layer] = _random_ratio(contributions, layer, generator)
    else:
        layer = _pick(list(open_layers), generator)
        weights[layer] = _random_ratio(contributions, layer, generator)
    return _within(depth, weights, contributions)


def reduced(choice: Choice, contributions: Contributions, generator: Generator) -> Choice:
    """A random step towards less: a layer at a lower ratio or not at all, or the next lower depth."""
    if not choice.weights or generator.random() < DEPTH_SHARE:
        depths = contributions.depths()
        depth = depths[max(depths.index(choice.depth) - 1, 0)]
        return _within(depth, dict(choice.weights), contributions)
    weights = dict(choice.weights)
    layer = _pick(sorted(weights), generator)
    lower = [ratio for ratio in contributions.ratios(layer) if ratio < weights[layer]]
    if lower and generator.integers(2):
        weights[layer] = lower[int(generator.integers(len(lower)))]
    else:
        del weights[layer]
    return Choice(choice.depth, tuple(sorted(weights.items())))


def crossed(first: Choice, second: Choice, contributions: Contributions, generator: Generator) -> Choice:
    """A depth of one of two choices, and for every layer what one of the two does."""
    depth = first.depth if generator.integers(2) else second.depth
    one, other = dict(first.weights), dict(second.weights)
    weights = {}
    for layer in sorted({*one, *other}):
        ratio = (one if generator.integers(2) else other).get(layer)
        if ratio is not None:
            weights[layer] = ratio
    return _within(depth, weights, contributions)


def _within(depth: int, weights: dict[int, float], contributions: Contributions) -> Choice:
    space = contributions.space
    kept = ((layer, ratio) for layer, ratio in sorted(weights.items()) if space.depth_of(layer) <= depth)
    return Choice(depth, tuple(kept))


def _open_layers(contributions: Contributions, depth: int) -> tuple[int, ...]:
    return tuple(layer for layer in contributions.space.within(depth) if contributions.ratios(layer))


def _random_ratio(contributions: Contributions, layer: int, generator: Generator) -> float:
    ratios = contributions.ratios(layer)
    return ratios[int(generator.integers(len(ratios)))]


def _pick(layers: list[int], generator: Generator) -> int:
    return layers[int(generator.integers(len(layers)))]
