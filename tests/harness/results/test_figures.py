"""The figures table: its columns, its order, what it aggregates and what it leaves out."""

from __future__ import annotations

import hashlib
import io
from types import ModuleType

import pandas as pd
import pytest

from harness.errors import ResultsError
from harness.results.document import Digests, RunDocument, TickSeries
from harness.results.figures import COLUMNS, figures

CELL = ("sparse-49kb", "qemu-mps2-an500")


def row(table: pd.DataFrame, figure: str, cell: tuple[str, str] = CELL) -> pd.Series:
    found = table[(table.method == cell[0]) & (table.target == cell[1]) & (table.figure == figure)]
    assert len(found) == 1, f"{len(found)} rows of {figure} for {cell}"
    return found.iloc[0]


def test_columns_order_and_completeness(factory: ModuleType) -> None:
    table = figures(factory.documents())
    assert tuple(table.columns) == COLUMNS
    keys = list(zip(table.method, table.target, table.figure, strict=True))
    assert keys == sorted(keys)
    assert len(keys) == len(set(keys))
    of_cell = table[(table.method == CELL[0]) & (table.target == CELL[1])]
    assert set(of_cell.figure) == {
        *("peak_sram", "static", "state", "arena", "arena_touched", "stack", "agent", "sram_lacking"),
        *("forward_per_mac", "backward_per_mac"),
        *("flash", "step_ticks", "predict_ticks", "accuracy_before", "accuracy_after", "state_digest"),
        *("extra_memory", "plan_peak", "plan_bound", "plan_gap"),
    }


def test_accuracies_say_where_they_were_computed(factory: ModuleType) -> None:
    table = figures(factory.documents())
    of_accuracy = table.figure.isin(["accuracy_before", "accuracy_after"])
    assert set(table[of_accuracy].computed_on) == {"host"}
    assert set(table[~of_accuracy].computed_on) == {""}


def test_the_order_of_documents_does_not_matter(factory: ModuleType) -> None:
    documents = factory.documents()
    pd.testing.assert_frame_equal(figures(documents), figures(documents[::-1]))


def test_parts_are_of_the_seed_with_the_highest_peak(factory: ModuleType) -> None:
    low, high = (factory.document(*CELL, seed) for seed in (0, 1))
    assert high.sram is not None
    higher = high.sram.model_copy(update={"stack": high.sram.stack + 64, "peak": high.sram.peak + 64})
    table = figures([low, high.model_copy(update={"sram": higher})])
    peak = row(table, "peak_sram")
    assert (peak.value, peak.low, peak.high) == (higher.peak, higher.peak - 64, higher.peak)
    parts = [row(table, name).value for name in ("static", "state", "arena", "stack")]
    assert sum(parts) == peak.value


def test_ticks_are_median_minimum_and_maximum_of_all_seeds(factory: ModuleType) -> None:
    def ticks(*values: int) -> TickSeries:
        return TickSeries(unit="instructions", kind="simulated", values=values)

    runs = [
        factory.document(*CELL, 0, step_ticks=ticks(10, 20, 30)),
        factory.document(*CELL, 1, step_ticks=ticks(40, 50, 61)),
    ]
    found = row(figures(runs), "step_ticks")
    assert (found.unit, found.kind, found.value, found.low, found.high) == (
        *("instructions", "simulated"),
        *(35, 10, 61),
    )


def test_one_cell_with_two_tick_units_is_refused(factory: ModuleType) -> None:
    other = TickSeries(unit="cycles", kind="measured", values=(1,))
    runs = [factory.document(*CELL, 0), factory.document(*CELL, 1, step_ticks=other)]
    with pytest.raises(ResultsError, match="measured cycles and simulated instructions"):
        figures(runs)


def test_accuracy_is_a_fraction_with_an_interval(factory: ModuleType) -> None:
    found = row(figures(factory.documents()), "accuracy_after")
    assert (found.unit, found.kind) == ("fraction", "measured")
    assert 0.85 < found.low < found.value < found.high < 0.97


def test_the_digest_of_one_seed_is_its_own(factory: ModuleType) -> None:
    found = row(figures([factory.document(*CELL, 0)]), "state_digest")
    assert found.value == factory.sha("sparse-49kb", 0, factory.STEPS)
    assert found.unit == f"sha256 after {factory.STEPS} steps"
    assert found.low is None and found.high is None


def test_the_digest_of_several_seeds_is_of_their_digests_in_seed_order(factory: ModuleType) -> None:
    runs = [factory.document(*CELL, seed) for seed in (2, 0, 1)]
    states = "".join(factory.sha("sparse-49kb", seed, factory.STEPS) for seed in (0, 1, 2))
    assert row(figures(runs), "state_digest").value == hashlib.sha256(states.encode()).hexdigest()


def test_the_digest_is_after_the_steps_that_all_targets_reached(factory: ModuleType) -> None:
    """A device runs 30 steps where the host runs all of them; their rows have to be comparable."""
    short = (Digests(steps=30, state=factory.sha("sparse-49kb", 0, 30)),)
    runs = [factory.document(*CELL, 0, digests=short), factory.document("sparse-49kb", "host", 0)]
    table = figures(runs)
    device, host = (row(table, "state_digest", (CELL[0], target)) for target in (CELL[1], "host"))
    assert device.unit == host.unit == "sha256 after 30 steps"
    assert device.value == host.value


def test_a_failed_run_gives_no_figures(factory: ModuleType) -> None:
    run = factory.document(*CELL, 0).model_copy(update={"status": "failed", "reason": "it fell over"})
    assert figures([run]).empty


def test_a_run_that_was_not_run_gives_only_analytic_figures(factory: ModuleType) -> None:
    run: RunDocument = factory.document(*CELL, 0)
    planned = run.sram.model_copy(update={"kind": "analytic"}) if run.sram else None
    table = figures([run.model_copy(update={"status": "not-run", "sram": planned})])
    assert set(table.kind) == {"analytic"}
    assert {"peak_sram", "sram_lacking", "extra_memory", "plan_peak"} <= set(table.figure)
    assert "accuracy_after" not in set(table.figure)


def test_a_measured_figure_of_a_run_that_was_not_run_is_left_out(factory: ModuleType) -> None:
    run = factory.document(*CELL, 0).model_copy(update={"status": "not-run"})
    assert "peak_sram" not in set(figures([run]).figure)


def test_csv_keeps_whole_numbers_whole(factory: ModuleType) -> None:
    text = figures(factory.documents()).to_csv(index=False)
    assert text.splitlines()[0] == "method,target,figure,kind,unit,value,low,high,computed_on"
    read = pd.read_csv(io.StringIO(text), dtype=str)
    peak = read[(read.figure == "peak_sram") & (read.method == CELL[0]) & (read.target == CELL[1])]
    assert peak.value.item().isdigit()
