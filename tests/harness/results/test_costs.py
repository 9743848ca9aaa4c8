"""Ticks a multiply-accumulate: what counts as forward and what comes after it."""

from __future__ import annotations

from types import ModuleType

import pytest

from harness.errors import ResultsError
from harness.results.costs import Cost, step_costs
from harness.results.document import MemoryPlan, OperatorTicks, PlannedOperator, RunDocument

CELL = ("sparse-49kb", "qemu-mps2-an500", 0)
STEP = (
    ("conv", "forward", 100, 450),
    ("loss", "backward", 0, 30),
    ("conv.grad", "backward", 40, 170),
    ("conv.update", "update", 10, 60),
)
"""name, phase, MACs, ticks"""


def profiled(factory: ModuleType) -> RunDocument:
    operators = tuple(
        PlannedOperator(name=name, kind="k", phase=phase, layer="", macs=macs, live_bytes=1)
        for name, phase, macs, _ in STEP
    )
    plan = MemoryPlan(arena_bytes=1, lower_bound=1, gap_bytes=0, order="", buffers=(), operators=operators)
    ticks = tuple(OperatorTicks(operator=name, ticks=ticks) for name, _, _, ticks in STEP)
    run: RunDocument = factory.document(*CELL, plan=plan, operator_ticks=ticks)
    return run


def test_backward_is_all_after_the_forward_pass(factory: ModuleType) -> None:
    costs = step_costs(profiled(factory))
    assert costs is not None
    assert costs.forward == Cost(450, 100)
    assert costs.backward == Cost(30 + 170 + 60, 50)
    assert costs.of("update") == Cost(60, 10)
    assert costs.total == Cost(710, 150)
    assert (costs.forward.per_mac, costs.backward.per_mac) == (4.5, 5.2)


def test_an_operator_without_macs_costs_nothing_a_mac(factory: ModuleType) -> None:
    costs = step_costs(profiled(factory))
    assert costs is not None
    assert costs.operators[1].cost.per_mac is None


def test_a_run_without_a_profile_has_no_costs(factory: ModuleType) -> None:
    assert step_costs(factory.document(*CELL, operator_ticks=())) is None


def test_a_profile_of_other_operators_is_refused(factory: ModuleType) -> None:
    run = profiled(factory)
    swapped = (run.operator_ticks[1], run.operator_ticks[0], *run.operator_ticks[2:])
    with pytest.raises(ResultsError, match="not those of the plan"):
        step_costs(run.model_copy(update={"operator_ticks": swapped}))
