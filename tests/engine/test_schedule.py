from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import (
    full,
    image,
    schemes,
    shared_backbone,
    small_backbone,
    tiny_backbone,
    training_module,
    with_classifier,
)

from engine.compiler import CompileOptions, build_module
from engine.errors import GraphError, PlanError
from engine.frontends.backbone import Backbone
from engine.graph import Module, Phase
from engine.interpreter import Interpreter
from engine.liveness import peak_live_bytes
from engine.schedule import check_order, predecessors, schedule
from engine.schemes import load_scheme
from engine.verifier import verify
from fixtures.schemes import LIBRARY


def index_of(module: Module, name: str) -> int:
    return next(index for index, op in enumerate(module.graph.operators) if op.name == name)


@pytest.fixture(scope="module")
def module(backbone: Backbone) -> Module:
    return training_module(backbone, full(backbone))


def test_the_identity_of_a_sound_graph_is_accepted(module: Module) -> None:
    check_order(module.graph, range(len(module.graph.operators)))


@pytest.mark.parametrize(
    ("late", "early"),
    [
        ("stem", "block00.depthwise"),  # a value before it is written
        (
            "block01.depthwise.grad_input",
            "block01.depthwise.weight_update",
        ),  # weights changed before they are read
        ("stem", "stem.bias_update"),  # a bias changed before the forward pass
        ("classifier.grad_input", "classifier.update"),
    ],
)
def test_an_order_that_runs_something_too_early_is_refused(module: Module, late: str, early: str) -> None:
    order = list(range(len(module.graph.operators)))
    first, second = index_of(module, early), index_of(module, late)
    order.remove(first)
    order.insert(order.index(second), first)
    with pytest.raises(PlanError, match=r"schedule of small runs .* before "):
        check_order(module.graph, order)
    with pytest.raises(GraphError):
        verify(module.with_graph(module.graph.reordered(order)))


@pytest.mark.parametrize("order", [[], [0, 0, 1]])
def test_an_order_that_is_no_permutation_is_refused(module: Module, order: list[int]) -> None:
    with pytest.raises(PlanError, match="is not a permutation of its"):
        check_order(module.graph, order)


@pytest.mark.parametrize("network", ["mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3"])
@pytest.mark.parametrize("gradient", ["f32", "i16"])
def test_the_order_of_a_real_network_is_proved_the_best(network: str, gradient: str) -> None:
    backbone = shared_backbone(network)
    for spec in ("sparse-49kb", "full"):
        options = CompileOptions(classes=10, gradient=gradient)
        module, _ = build_module(backbone, load_scheme(spec, backbone, LIBRARY), options)
        again = schedule(module.graph)
        assert again.proven
        assert again.order == "as emitted"  # build_module has taken the best one already


def test_the_order_as_emitted_stays_where_the_measure_is_no_lower(backbone: Backbone) -> None:
    module = training_module(backbone, full(backbone))
    best = schedule(module.graph).peak_live_bytes
    shuffles = (module.graph.reordered(_random_order(module, seed)) for seed in range(100))
    shuffled = next(graph for graph in shuffles if peak_live_bytes(graph) > best)
    kept = schedule(shuffled, measure=lambda graph: 1)
    assert (kept.graph, kept.order, kept.proven) == (shuffled, "as emitted", False)
    assert kept.bound == best < kept.peak_live_bytes
    taken = schedule(shuffled, measure=lambda graph: int(graph is shuffled))
    assert (taken.order, taken.peak_live_bytes, taken.proven) == ("exact search", best, True)


def test_a_spent_budget_is_told(backbone: Backbone) -> None:
    module = training_module(backbone, full(backbone))
    best = schedule(module.graph).peak_live_bytes
    shuffles = (module.graph.reordered(_random_order(module, seed)) for seed in range(100))
    shuffled = next(graph for graph in shuffles if peak_live_bytes(graph) > best)
    found = schedule(shuffled, budget=0)
    assert not found.proven
    assert found.bound <= best < found.peak_live_bytes == peak_live_bytes(shuffled)


@pytest.mark.parametrize("scheme_name", ["full", "last-layer", "bias-only", "sparse"])
def test_the_schedule_is_no_worse_than_the_order_emitted(backbone: Backbone, scheme_name: str) -> None:
    module = training_module(backbone, schemes(backbone)[scheme_name])
    again = schedule(module.graph)
    assert again.peak_live_bytes == peak_live_bytes(again.graph) <= peak_live_bytes(module.graph)


def test_the_schedule_does_not_change_the_results(backbone: Backbone) -> None:
    """Also not those of stochastic rounding, whose draws are numbered by tensor and not by time."""
    module, order = build_module(backbone, full(backbone), CompileOptions(classes=4, rounding="stochastic"))
    assert order in ("as emitted", "exact search")
    results = []
    for seed in (1, 2):
        found = verify(module.with_graph(module.graph.reordered(_random_order(module, seed))))
        results.append(_two_steps(found))
    results.append(_two_steps(module))
    assert results[0] == results[1] == results[2]


def _two_steps(module: Module) -> bytes:
    interpreter = with_classifier(Interpreter(module))
    interpreter.learning_rate = 0.02
    for step in range(2):
        interpreter.train_step(image(step), step)
    return interpreter.state_bytes()


def test_forward_operators_come_first(module: Module) -> None:
    """The C runs them as a function of its own; the loss, which all else needs, needs them all."""
    phases = [op.phase for op in module.graph.operators]
    count = phases.count(Phase.FORWARD)
    assert set(phases[:count]) == {Phase.FORWARD}


@cache
def _modules() -> tuple[Module, ...]:
    backbone = small_backbone()
    return tuple(
        training_module(backbone, scheme, rounding="extended", accumulate=2)
        for scheme in schemes(backbone).values()
    )


def _random_order(module: Module, seed: int) -> list[int]:
    generator = np.random.default_rng(seed)
    before = predecessors(module.graph)
    order: list[int] = []
    left = set(range(len(before)))
    while left:
        order.append(int(generator.choice(sorted(index for index in left if not before[index] & left))))
        left.remove(order[-1])
    return order


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 3))
def test_any_sound_order_is_accepted_and_scheduled_again(seed: int, which: int) -> None:
    module = _modules()[which]
    graph = module.graph.reordered(_random_order(module, seed))
    check_order(graph, range(len(graph.operators)))
    verify(module.with_graph(graph))
    found = schedule(graph)
    assert found.peak_live_bytes <= peak_live_bytes(graph)
    assert found.proven
    assert found.peak_live_bytes == schedule(module.graph).peak_live_bytes
    assert {op.name for op in found.graph.operators} == {op.name for op in graph.operators}
    verify(module.with_graph(found.graph))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32))
def test_the_checker_and_the_verifier_agree_on_any_order(seed: int) -> None:
    """They share no code: a swap of two neighbours in a sound order passes both or neither."""
    module = _modules()[0]
    order = _random_order(module, seed)
    place = seed % (len(order) - 1)
    order[place], order[place + 1] = order[place + 1], order[place]
    swapped = module.with_graph(module.graph.reordered(order))
    try:
        check_order(module.graph, order)
    except PlanError:
        with pytest.raises(GraphError):
            verify(swapped)
    else:
        verify(swapped)


def test_an_update_waits_for_every_reader_of_what_it_changes(module: Module) -> None:
    graph, before = module.graph, predecessors(module.graph)
    for index, op in enumerate(graph.operators):
        trainable = op.find_input("trainable")
        if op.phase is Phase.UPDATE and trainable is not None:
            readers = set(graph.readers()[trainable]) - {index}
            assert readers <= before[index]
            assert len(readers) == (1 if op.layer == "stem" else 2)


def test_the_order_is_the_best_where_all_can_be_tried() -> None:
    """In the backward tail of the tiny network, over all orders of its last operators."""
    backbone = tiny_backbone()
    graph = training_module(backbone, full(backbone)).graph
    fixed, free = list(range(len(graph.operators) - 7)), range(len(graph.operators) - 7, len(graph.operators))
    peaks = []
    for tail in permutations(free):
        order = [*fixed, *tail]
        try:
            check_order(graph, order)
        except PlanError:
            continue
        peaks.append(peak_live_bytes(graph.reordered(order)))
    assert len(peaks) > 1
    assert schedule(graph).peak_live_bytes == min(peaks)


def test_a_cycle_of_updates_is_refused(module: Module) -> None:
    """Two operators that change one state would each have to run after the other."""
    graph = module.graph
    op = graph.operators[index_of(module, "stem.bias_update")]
    twice = replace(graph, operators=(*graph.operators, replace(op, name="again")))
    with pytest.raises(PlanError):
        schedule(twice)
