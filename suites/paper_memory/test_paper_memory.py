"""What has to hold of every cell: `pytest --target NAME --suite paper-memory --paper-data FOLDER`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.paper.plugin import PaperCell


def test_the_cell_ran(paper_cell: PaperCell, record_lines: Callable[[], None]) -> None:
    for line in paper_cell.lines:
        if line.status == "failed":
            pytest.fail(line.reason, pytrace=False)
    record_lines()


def test_extra_memory_is_the_papers(paper_cell: PaperCell) -> None:
    line = paper_cell.line("extra_memory")
    if line is None or line.published is None:
        pytest.skip("the paper gives no extra memory for it")
    assert line.agrees, f"{line.difference} KB from {line.published.place}"


def test_sram_is_as_planned(paper_cell: PaperCell) -> None:
    measured = [run for run in paper_cell.runs if run.sram is not None and run.sram.kind == "measured"]
    if not measured:
        pytest.skip("SRAM is not measured there")
    for run in measured:
        assert run.sram is not None
        assert run.plan is not None
        assert 0 < run.sram.arena_touched <= run.plan.arena_bytes <= run.sram.arena
        assert run.sram.peak == run.sram.static + run.sram.state + run.sram.arena + run.sram.stack
        assert run.sram.untouched_outside
        assert run.plan.gap_bytes == 0


def test_latency_has_enough_samples(paper_cell: PaperCell) -> None:
    series = [run.step_ticks for run in paper_cell.runs if run.step_ticks is not None]
    if not series:
        pytest.skip("ticks are not taken there")
    assert all(len(one.values) >= 30 and min(one.values) > 0 for one in series)
