from collections.abc import Callable
from typing import Any

import pytest

from harness.results.comparison import compare
from harness.results.document import Clock, RunDocument, TickSeries
from harness.results.figures import figures
from harness.results.milliseconds import milliseconds

MakeRun = Callable[..., RunDocument]


def cell_of(*runs: RunDocument) -> Any:
    return next(iter(compare(runs).cells.values()))


def clock(hz: int) -> Clock:
    return Clock(core_hz=hz, usart_hz=hz, registers={"RCC_CFGR": "0x0000940a"})


def cycles(*values: int) -> TickSeries:
    return TickSeries(unit="cycles", kind="measured", values=values)


def test_each_run_counts_at_its_own_clock(make_run: MakeRun) -> None:
    runs = (
        make_run(seed=0, step_ticks=cycles(480_000, 960_000), clock=clock(480_000_000)),
        make_run(seed=1, step_ticks=cycles(400_000), clock=clock(400_000_000)),
    )
    assert milliseconds(cell_of(*runs), "step_ticks") == pytest.approx((1.0, 2.0, 1.0))
    assert milliseconds(cell_of(*runs), "predict_ticks") == ()


def test_without_a_clock_there_are_none(make_run: MakeRun) -> None:
    runs = (
        make_run(seed=0, step_ticks=cycles(480_000), clock=clock(480_000_000)),
        make_run(seed=1, step_ticks=cycles(400_000)),
    )
    assert milliseconds(cell_of(*runs), "step_ticks") == ()
    assert "step_milliseconds" not in set(figures(runs)["figure"])


@pytest.mark.parametrize("unit", ["instructions", "nanoseconds"])
def test_instructions_are_not_milliseconds(make_run: MakeRun, unit: str) -> None:
    series = cycles(480_000).model_copy(update={"unit": unit, "kind": "simulated"})
    assert milliseconds(cell_of(make_run(step_ticks=series, clock=clock(1))), "step_ticks") == ()


def test_the_table_has_them_with_their_range(make_run: MakeRun) -> None:
    run = make_run(step_ticks=cycles(216_000, 432_000, 648_000), clock=clock(216_000_000))
    table = figures([run])
    row = table[table.figure == "step_milliseconds"].iloc[0]
    assert (row.kind, row.unit) == ("measured", "milliseconds")
    assert (row.value, row.low, row.high) == pytest.approx((2.0, 1.0, 3.0))
