from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import small_backbone

from engine.compiler import CompileOptions, compile_trainer
from engine.schemes import extra_memory
from engine.search.costs import analytic_costs, planned_bytes, smallest_arena, state_costs
from engine.search.space import CLASSIFIER, Choice, make_space, to_scheme

BACKBONE = small_backbone()
SPACE = make_space(BACKBONE, "all", "all")
OPTIONS = CompileOptions(classes=4)
ANALYTIC = analytic_costs(SPACE, BACKBONE)
STATES = state_costs(SPACE, BACKBONE, OPTIONS)


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    depth = draw(st.sampled_from(SPACE.depths))
    open_layers = SPACE.within(depth)
    layers = sorted(draw(st.sets(st.sampled_from(open_layers), max_size=4))) if open_layers else []
    return Choice(depth, tuple((layer, draw(st.sampled_from(SPACE.ratios))) for layer in layers))


@given(choices())
def test_the_papers_rule_adds_up(choice: Choice) -> None:
    assert ANALYTIC.bytes(choice) == extra_memory(to_scheme(choice, BACKBONE), BACKBONE)


@settings(max_examples=10, deadline=None)
@given(choices())
def test_the_state_adds_up_and_no_arena_is_below_the_smallest(choice: Choice) -> None:
    found = planned_bytes(choice, BACKBONE, OPTIONS)
    assert (STATES.bytes(choice) + 3) // 4 * 4 == found.state
    assert found.arena >= smallest_arena(planned_bytes(CLASSIFIER, BACKBONE, OPTIONS).arena)


@pytest.mark.parametrize("choice", [CLASSIFIER, Choice(9), Choice(13, ((9, 0.5), (19, 1.0)))])
@pytest.mark.parametrize("rounding", ["stochastic", "extended"])
def test_planned_is_what_the_compiler_makes(choice: Choice, rounding: str, tmp_path: Path) -> None:
    options = dataclasses.replace(OPTIONS, rounding=rounding)
    compiled = compile_trainer(BACKBONE, to_scheme(choice, BACKBONE), options, tmp_path / "trainer")
    found = planned_bytes(choice, BACKBONE, options)
    assert (found.state, found.arena, found.exact) == (compiled.state_bytes, compiled.arena_bytes, True)


def test_what_cannot_fit_is_not_planned_and_its_bound_says_so() -> None:
    choice = Choice(22, ((3, 1.0),))
    exact = planned_bytes(choice, BACKBONE, OPTIONS)
    bound = planned_bytes(choice, BACKBONE, OPTIONS, enough=exact.state)
    assert not bound.exact
    assert exact.state < bound.total <= exact.total
    assert planned_bytes(choice, BACKBONE, OPTIONS, enough=exact.total) == exact
