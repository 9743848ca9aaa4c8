"""The figures of the overhead benchmark: from what a clock saw, and as text."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from harness.bench.clocked_cell import Clocked
from harness.bench.overhead import Overhead, measure_overhead, summarize
from harness.bench.overhead_table import COLUMNS, overhead_figures, overhead_rows, print_overhead
from harness.errors import MeasurementError, UsageError

STEPS, PREDICTIONS = 4, 2
JOB: Any = SimpleNamespace(
    task=SimpleNamespace(steps=STEPS, predictions=PREDICTIONS),
    target="qemu",
    method=SimpleNamespace(name="bias-only:1"),
)


def seen(**changes: Any) -> Clocked:
    series = SimpleNamespace(values=(10, 20))
    fields: dict[str, Any] = {
        "document": SimpleNamespace(step_ticks=series, predict_ticks=None),
        "spent": {"device is opened": 0.25, "memory is read": 0.125},
        "waits": (2.0,) * STEPS + (1.0,) * PREDICTIONS,
        "worked": 8.0,
        "emulator": 9.0,
        "job": 0.5,
    }
    return Clocked(**fields | changes)


def summarized(**changes: Any) -> Overhead:
    return summarize(JOB, seen(**changes), 12.0, 0.25, [0.125, 0.25, 9.0])


def test_what_is_not_execution_is_overhead() -> None:
    found = summarized()
    assert found.link_seconds == 0.25
    assert found.executing_seconds == 10.0 - (STEPS + PREDICTIONS) * 0.25
    assert found.overhead == pytest.approx((12.0 - 8.5) / 8.5)
    assert found.processor.overhead == pytest.approx((1.0 + 0.5 + 0.25) / 8.0)
    assert found.ticks == 30


def test_the_table_adds_up_to_the_cell() -> None:
    found = summarized()
    rows = dict(overhead_rows(found))
    assert sum(rows.values()) == pytest.approx(found.cell_seconds)
    assert rows["link: round trips"] == (STEPS + PREDICTIONS) * 0.25
    assert rows["harness computes, and all else"] == pytest.approx(12.0 - 8.5 - 1.5 - 0.375)


def test_csv_has_both_clocks_and_their_sums() -> None:
    found = summarized()
    table = pd.read_csv(io.StringIO(overhead_figures(found).to_csv(index=False)))
    assert tuple(table.columns) == COLUMNS
    for clock, overhead in (("wall", found.overhead), ("processor", found.processor.overhead)):
        rows = table[table.clock == clock]
        whole = rows[rows.what == "all"]
        assert float(whole.overhead.iloc[0]) == pytest.approx(overhead, abs=1e-6)
        assert float(whole.seconds.iloc[0]) == pytest.approx(rows.seconds.sum() / 2, abs=1e-5)
        assert rows.overhead.notna().sum() == 1


def test_printed_figures(capsys: pytest.CaptureFixture[str]) -> None:
    print_overhead(summarized())
    printed = capsys.readouterr().out
    assert "by the wall clock the harness adds 41.18%" in printed
    assert "21.88% added" in printed


@pytest.mark.parametrize(
    ("changes", "empty", "message"),
    [
        ({"waits": (2.0,) * (STEPS + PREDICTIONS - 1)}, [0.1], "5 replies .* were timed, 6 came"),
        ({}, [], "were timed"),
        ({}, [2.5], "cannot be told from the link"),
        ({"worked": 0.0}, [0.1], "cannot be told from the link"),
    ],
)
def test_a_clock_that_missed_something_gives_no_figure(
    changes: dict[str, Any], empty: list[float], message: str
) -> None:
    with pytest.raises(MeasurementError, match=message):
        summarize(JOB, seen(**changes), 12.0, 0.25, empty)


@pytest.mark.parametrize(
    ("methods", "target", "message"),
    [(2, "qemu-mps2-an500", "takes one method"), (1, "host", "host is no emulator")],
)
def test_what_cannot_be_asked_for(methods: int, target: str, message: str) -> None:
    request: Any = SimpleNamespace(methods=(JOB.method,) * methods)
    nowhere: Any = None
    with pytest.raises(UsageError, match=message):
        measure_overhead(request, target, nowhere, lambda done, total: None)
