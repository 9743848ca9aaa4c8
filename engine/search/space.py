"""What a search chooses from: how many last convolutions train their bias, and which layers train how much of
their weights.

As in the published schemes, weights are trained only where the bias is: a gradient that reaches a layer for
its weights has passed all later ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import SchemeError
from engine.frontends.backbone import Backbone
from engine.schemes import Scheme, network_shape

RATIOS = (0.125, 0.25, 0.5, 1.0)
LAYERS = ("first-pointwise", "all")
DEPTHS = ("blocks", "all")


@dataclass(frozen=True, order=True)
class Choice:
    """One scheme. depth: biases of the last so many convolutions. weights: (convolution, ratio)."""

    depth: int
    weights: tuple[tuple[int, float], ...] = ()
    """Ascending; each convolution lies within the depth."""


CLASSIFIER = Choice(0)
"""Nothing but the classifier, which is always trained."""


@dataclass(frozen=True)
class Space:
    """convolutions: of the network. depths: ascending, the first 0. layers: ascending. ratios: ascending."""

    convolutions: int
    depths: tuple[int, ...]
    layers: tuple[int, ...]
    ratios: tuple[float, ...] = RATIOS

    def depth_of(self, layer: int) -> int:
        """How many last convolutions there are from this one on."""
        return self.convolutions - layer

    def within(self, depth: int) -> tuple[int, ...]:
        """Layers whose weights may be trained at this depth."""
        return tuple(layer for layer in self.layers if self.depth_of(layer) <= depth)


def make_space(
    backbone: Backbone,
    layers: str = "first-pointwise",
    depths: str = "blocks",
    ratios: tuple[float, ...] = RATIOS,
) -> Space:
    """The space of a backbone; SchemeError for names or ratios that make none.

    layers: `first-pointwise` (the expansion of each block, as in all published schemes) or `all`. depths:
    `blocks` (a block trains its biases or not) or `all`. The depth of every layer is among the depths: its
    weights are measured on top of the biases from there on.
    """
    if layers not in LAYERS:
        raise SchemeError(f"layers {layers!r} cannot be searched; there are: {', '.join(LAYERS)}")
    if depths not in DEPTHS:
        raise SchemeError(f"depths {depths!r} cannot be searched; there are: {', '.join(DEPTHS)}")
    if not ratios or not all(0 < ratio <= 1 for ratio in ratios):
        raise SchemeError(f"ratios {ratios} cannot be searched; they are in (0, 1]")
    count = len(backbone.layers)
    chosen = tuple(range(count)) if layers == "all" else first_pointwise(backbone)
    starts = set(range(count)) if depths == "all" else {0, *block_starts(backbone)}
    reached = {0, *(count - start for start in starts | set(chosen))}
    return Space(count, tuple(sorted(reached)), chosen, tuple(sorted(set(ratios))))


def first_pointwise(backbone: Backbone) -> tuple[int, ...]:
    """Numbers of the expansions: the first pointwise convolution of each block that has one."""
    return tuple(
        start
        for start, block in zip(block_starts(backbone), backbone.blocks, strict=True)
        if block.pointwise1 is not None
    )


def block_starts(backbone: Backbone) -> tuple[int, ...]:
    """Number of the first convolution of each block."""
    starts, number = [], 1
    for block in backbone.blocks:
        starts.append(number)
        number += len(block.layers)
    return tuple(starts)


def to_scheme(choice: Choice, backbone: Backbone, name: str = "", description: str = "") -> Scheme:
    """The choice as a scheme for its backbone; without a name it is called by what it updates."""
    return Scheme(
        name=name or describe(choice),
        description=description,
        bias_last=choice.depth,
        weights=choice.weights,
        network=network_shape(backbone),
    )


def from_scheme(scheme: Scheme) -> Choice:
    """What a scheme updates, also one that lies in no space."""
    return Choice(scheme.bias_last, scheme.weights)


def describe(choice: Choice) -> str:
    """e.g. `b20 w24:0.25 w27:0.5`."""
    return " ".join([f"b{choice.depth}", *(f"w{layer}:{ratio:g}" for layer, ratio in choice.weights)])
