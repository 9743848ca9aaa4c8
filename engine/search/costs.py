"""What a scheme costs: by the paper's rule, or by the compiler's own plan.

The paper's rule is a sum over the parts of a scheme, and so is the state of a trainer. The arena is not: it
is the highest of many moments, and has to be planned for each scheme.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.compiler import CompileOptions, build_module
from engine.frontends.backbone import Backbone
from engine.graph import Graph, Role
from engine.liveness import peak_live_bytes
from engine.memory_plan import plan_module
from engine.regions import SLACK, choose_regions
from engine.schemes import extra_memory_bits
from engine.search.space import CLASSIFIER, Choice, Space, to_scheme


@dataclass(frozen=True)
class AdditiveCosts:
    """Bits as a sum over parts: `base` of the classifier, each depth's biases, each layer's weights."""

    base: int
    bias: Mapping[int, int]
    weights: Mapping[tuple[int, float], int]

    def bits(self, choice: Choice) -> int:
        """Of a choice whose parts are among those counted."""
        bias = self.bias[choice.depth] if choice.depth else 0
        return self.base + bias + sum(self.weights[part] for part in choice.weights)

    def bytes(self, choice: Choice) -> int:
        """`bits`, rounded up."""
        return (self.bits(choice) + 7) // 8


@dataclass(frozen=True)
class PlannedBytes:
    """What the compiler plans for a scheme. Where it is not `exact`, `arena` is a lower bound of its plan."""

    state: int
    arena: int
    exact: bool

    @property
    def total(self) -> int:
        return self.state + self.arena


def analytic_costs(space: Space, backbone: Backbone) -> AdditiveCosts:
    """The paper's extra memory, part by part."""
    return _additive(space, lambda choice: extra_memory_bits(to_scheme(choice, backbone), backbone))


def state_costs(space: Space, backbone: Backbone, options: CompileOptions) -> AdditiveCosts:
    """Trainable state, part by part, without what aligns its end."""

    def state(choice: Choice) -> int:
        module, _ = build_module(backbone, to_scheme(choice, backbone), options)
        return 8 * _state(module.graph)

    return _additive(space, state)


def _additive(space: Space, bits: Callable[[Choice], int]) -> AdditiveCosts:
    base = bits(CLASSIFIER)
    depths = {depth: bits(Choice(depth)) for depth in space.depths if depth}
    weights = {
        (layer, ratio): bits(Choice(depth, ((layer, ratio),))) - depths[depth]
        for layer in space.layers
        for depth in (space.depth_of(layer),)
        for ratio in space.ratios
    }
    return AdditiveCosts(base, {depth: found - base for depth, found in depths.items()}, weights)


def planned_bytes(
    choice: Choice, backbone: Backbone, options: CompileOptions, enough: int | None = None
) -> PlannedBytes:
    """State and arena of a choice, as `compile_trainer` would plan them.

    `enough`: bytes above which the exact figure does not matter; where a lower bound is above it already, the
    offsets are not planned.
    """
    module, order = build_module(backbone, to_scheme(choice, backbone), options)
    regions = choose_regions(module.graph)
    state = (_state(module.graph) + 3) // 4 * 4
    bound = peak_live_bytes(module.graph, regions)
    if enough is not None and state + bound > enough:
        return PlannedBytes(state, bound, exact=False)
    return PlannedBytes(state, plan_module(module, order, regions)[0].arena_bytes, exact=True)


def smallest_arena(classifier_only: int) -> int:
    """A lower bound of any scheme's arena, from that of the classifier alone.

    Every step runs the same forward pass, and the cut into regions is within a `SLACK`th of the lowest peak.
    """
    return classifier_only * SLACK // (SLACK + 1)


def _state(graph: Graph) -> int:
    return sum(tensor.bytes for tensor in graph.with_role(Role.STATE))
