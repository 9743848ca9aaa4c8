"""The plan under a simulation of the arena: no operand is clobbered while it is needed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from arena_interpreter import (
    ArenaInterpreter,
    ClobberedError,
    assert_arena_gives_the_same,
    step_context,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import (
    full,
    image,
    longest_chains,
    schemes,
    shared_backbone,
    small_backbone,
    training_module,
    with_classifier,
)

from engine.autodiff import GRADIENTS
from engine.frontends.backbone import Backbone
from engine.graph import DType, Module, Role
from engine.interpreter import Interpreter
from engine.liveness import Lifetime, lifetimes, live_bytes, peak_live_bytes
from engine.lowering import IMAGE, LOGITS, LOSS
from engine.memory_plan import plan_module
from engine.operators import kind_of
from engine.regions import choose_regions
from engine.schedule import predecessors
from engine.schemes import load_scheme
from engine.verifier import verify
from fixtures.schemes import LIBRARY


def names(group: Lifetime) -> tuple[str, ...]:
    return tuple(name for name, _ in group.tensors)


@pytest.mark.parametrize("scheme_name", ["full", "last-layer", "bias-only", "sparse"])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_the_arena_gives_what_the_interpreter_gives(
    backbone: Backbone, scheme_name: str, accumulate: int, gradient: str
) -> None:
    scheme = schemes(backbone)[scheme_name]
    options = {"rounding": "extended", "accumulate": accumulate, "gradient": gradient}
    module = training_module(backbone, scheme, **options)
    assert_arena_gives_the_same(module, 3, accumulate)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("network", ["mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3"])
def test_real_networks_in_their_arena(network: str, gradient: str) -> None:
    backbone = shared_backbone(network)
    scheme = load_scheme("sparse-49kb", backbone, LIBRARY)
    module = training_module(backbone, scheme, classes=10, gradient=gradient)
    assert_arena_gives_the_same(module, steps=1)
    assert_arena_gives_the_same(module, steps=1, regions=choose_regions(module.graph))


@pytest.mark.parametrize("strip", [1, 2, 3])
@pytest.mark.parametrize("scheme_name", ["last-layer", "sparse", "full"])
def test_streamed_regions_in_their_arena(backbone: Backbone, scheme_name: str, strip: int) -> None:
    module = training_module(backbone, schemes(backbone)[scheme_name], rounding="stochastic", accumulate=1)
    assert_arena_gives_the_same(module, regions=longest_chains(module.graph, strip))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), gradient=st.sampled_from(GRADIENTS))
def test_any_order_of_operators_has_a_sound_plan(seed: int, gradient: str) -> None:
    module = _small_module(gradient)
    order = random_order(module, seed)
    shuffled = verify(module.with_graph(module.graph.reordered(order)))
    assert_arena_gives_the_same(shuffled, steps=1)


@cache
def _small_module(gradient: str) -> Module:
    backbone = small_backbone()
    return training_module(backbone, full(backbone), gradient=gradient)


def random_order(module: Module, seed: int) -> list[int]:
    """A random topological order: not one a scheduler would choose."""
    generator = np.random.default_rng(seed)
    before = [set(needed) for needed in predecessors(module.graph)]
    order: list[int] = []
    left = set(range(len(before)))
    while left:
        ready = sorted(index for index in left if not before[index] & left)
        chosen = int(generator.choice(ready))
        order.append(chosen)
        left.remove(chosen)
    return order


def test_the_simulation_notices_a_wrong_offset(backbone: Backbone) -> None:
    """Each buffer in turn is moved onto the one that lives beside it for longest."""
    module = training_module(backbone, full(backbone))
    plan, offsets, _ = plan_module(module, "as emitted")
    groups = lifetimes(module.graph)
    noticed = 0
    for group in groups[:: max(1, len(groups) // 12)]:
        beside = [g for g in groups if g is not group and g.first < group.last and group.first < g.last]
        other = max(beside, key=lambda g: min(g.last, group.last) - max(g.first, group.first))
        moved = {name: offsets[other.tensors[0][0]] for name, _ in group.tensors}
        broken = {**offsets, **moved}
        arena = ArenaInterpreter(module, broken, 2 * plan.arena_bytes)
        interpreter = with_classifier(Interpreter(module))
        with pytest.raises(ClobberedError):
            arena.train_step(interpreter, image(0), 1, step_context(0.01, 0, 0, 1))
        noticed += 1
    assert noticed > 8


def test_in_place_chains_of_the_small_network(backbone: Backbone) -> None:
    graph = training_module(backbone, full(backbone)).graph
    groups = {group.name: names(group) for group in lifetimes(graph)}
    name = "block07.pointwise2.output"
    assert groups["block07.sum.gradient_from_pool"] == (
        "block07.sum.gradient_from_pool",
        f"{name}.gradient_from_block07.residual",
        f"{name}.accumulator_gradient",
    )
    # The sum takes the place of its convolution's output; the skip is still needed for a weight update.
    assert groups[name] == (name, "block07.sum")


def test_each_arena_tensor_lies_in_one_buffer(backbone: Backbone) -> None:
    graph = training_module(backbone, full(backbone)).graph
    placed = [name for group in lifetimes(graph) if group.what != "scratch" for name in names(group)]
    assert sorted(placed) == sorted(tensor.name for tensor in graph.tensors if tensor.in_arena)
    assert LOSS not in placed


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_what_buffers_hold(backbone: Backbone, gradient: str) -> None:
    graph = training_module(backbone, full(backbone), gradient=gradient).graph
    kinds = {group.name: group.what for group in lifetimes(graph)}
    assert kinds["block07.sum.gradient_from_pool"] == "gradient"
    assert kinds[IMAGE] == "input"
    assert kinds["stem.output"] == "activation"
    assert kinds["features"] == "activation"
    assert kinds["stem.output.mask"] == "mask"
    assert kinds["logits.gradient"] == "gradient"
    assert kinds["stem.bias_update.scratch"] == "scratch"
    for tensor in graph.with_role(Role.VALUE):
        if tensor.dtype is DType.INT8 and tensor.name in kinds:
            assert kinds[tensor.name] == "activation"


def test_the_logits_outlive_the_step_and_the_input_lives_from_its_start(backbone: Backbone) -> None:
    graph = training_module(backbone, full(backbone)).graph
    groups = {group.name: group for group in lifetimes(graph)}
    assert groups[LOGITS].last == len(graph.operators)
    assert names(groups[LOGITS]) == (LOGITS,)
    assert groups[IMAGE].first == 0


def test_live_bytes_are_those_of_the_buffers(backbone: Backbone) -> None:
    graph = training_module(backbone, full(backbone)).graph
    live = live_bytes(graph)
    assert len(live) == len(graph.operators)
    assert max(live) == peak_live_bytes(graph)
    first = graph.operators[0]
    assert first.name == "stem"
    mask = 8 * 8 * 5 // 8
    scratch = kind_of(first).scratch_bytes(first, graph)
    assert live[0] == 16 * 16 * 3 + 8 * 8 * 5 + mask + scratch


def test_an_input_that_is_read_later_is_not_overwritten(backbone: Backbone) -> None:
    """Add one more reader of a sum's operand, and the sum may not take its place any more."""
    graph = training_module(backbone, full(backbone)).graph
    pool = next(op for op in graph.operators if op.name == "pool")
    operand = "block07.pointwise2.output"
    late = replace(pool, name="late", inputs=(("x", operand),), outputs=(("y", "late"),))
    tensor = replace(graph.tensor("pool.output"), name="late")
    longer = replace(graph, tensors=(*graph.tensors, tensor), operators=(*graph.operators, late))
    groups = {group.name: group for group in lifetimes(longer)}
    assert names(groups[operand]) == (operand,)
    assert groups[operand].last == len(longer.operators)
