"""A profile as CSV rows."""

from __future__ import annotations

from types import ModuleType

from harness.profile.figures import OPERATOR_PREFIX, profile_figures
from harness.results.document import RunDocument
from harness.results.figures import COLUMNS

CELL = ("sparse-49kb", "qemu-mps2-an500", 0)


def test_operators_follow_in_execution_order(factory: ModuleType) -> None:
    run: RunDocument = factory.document(*CELL, accuracy=None)
    table = profile_figures(run)
    assert tuple(table.columns) == COLUMNS
    names = [str(name) for name in table.figure]
    operators = [name.removeprefix(OPERATOR_PREFIX) for name in names if name.startswith(OPERATOR_PREFIX)]
    assert run.plan is not None
    assert operators == [operator.name for operator in run.plan.operators]
    assert len(set(names)) == len(names)
    assert set(table[table.figure.str.startswith(OPERATOR_PREFIX)].unit) == {"instructions"}
    rest = set(names) - {OPERATOR_PREFIX + name for name in operators}
    assert rest == {
        *(
            "peak_sram",
            "static",
            "state",
            "arena",
            "arena_touched",
            "stack",
            "agent",
            "sram_lacking",
            "flash",
        ),
        *("step_ticks", "forward_per_mac", "backward_per_mac", "extra_memory"),
        *("plan_peak", "plan_bound", "plan_gap"),
    }


def test_where_sram_is_not_measured_there_is_no_figure_of_it(factory: ModuleType) -> None:
    run = factory.document(*CELL, accuracy=None, sram=None)
    names = set(profile_figures(run).figure)
    assert "plan_peak" in names
    assert not names & {"peak_sram", "static", "state", "arena", "stack", "agent"}
