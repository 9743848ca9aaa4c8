from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.errors import MeasurementError
from harness.results.document import Digests, RunDocument, Sram, TickSeries
from harness.study.measured import summary

MakeRun = Callable[..., RunDocument]


def measured(make_run: MakeRun, state: str) -> RunDocument:
    ticks = TickSeries(unit="instructions", kind="simulated", values=(10, 30, 20, 40))
    sram = Sram(
        kind="measured",
        peak=10,
        static=1,
        state=2,
        arena=3,
        arena_touched=3,
        stack=4,
        agent=5,
        untouched_outside=True,
    )
    digests = (Digests(steps=20, state="a" * 64), Digests(steps=30, state=state))
    return make_run(target="board", sram=sram, step_ticks=ticks, predict_ticks=ticks, digests=digests)


def test_figures_count_where_the_state_is_the_trained_one(make_run: MakeRun) -> None:
    trained = make_run(digests=(Digests(steps=20, state="a" * 64), Digests(steps=30, state="b" * 64)))
    found = summary(measured(make_run, "b" * 64), trained)
    assert (found.target, found.sram.peak, found.equal_steps) == ("board", 10, 30)
    assert (found.step_ticks.median, found.step_ticks.low, found.step_ticks.high) == (25, 10, 40)


def test_another_state_gives_no_figure(make_run: MakeRun) -> None:
    trained = make_run(digests=(Digests(steps=20, state="a" * 64), Digests(steps=30, state="b" * 64)))
    with pytest.raises(MeasurementError, match="does not compute the same bits"):
        summary(measured(make_run, "c" * 64), trained)


def test_a_run_without_figures_says_why(make_run: MakeRun) -> None:
    with pytest.raises(MeasurementError, match="no room"):
        summary(make_run(status="not-run", reason="no room"), make_run())
    with pytest.raises(MeasurementError, match="host measures neither SRAM nor ticks"):
        summary(make_run(), make_run())
