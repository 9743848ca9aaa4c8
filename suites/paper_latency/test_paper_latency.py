"""What has to hold of every cell: `pytest --target NAME --suite paper-latency --paper-data FOLDER`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.paper.plugin import PaperCell, Ran


def test_the_cell_ran(paper_cell: PaperCell, record_lines: Callable[[], None]) -> None:
    for line in paper_cell.lines:
        if line.status == "failed":
            pytest.fail(line.reason, pytrace=False)
    record_lines()


def test_latency_has_enough_samples(paper_cell: PaperCell) -> None:
    series = [run.step_ticks for run in paper_cell.runs if run.step_ticks is not None]
    if not series:
        pytest.skip("ticks are not taken there")
    assert all(len(one.values) >= 30 and min(one.values) > 0 for one in series)


def test_instructions_are_never_held_against_milliseconds(paper_cell: PaperCell) -> None:
    for line in paper_cell.lines:
        assert line.figure != "step_ticks" or line.difference is None


def test_a_full_update_costs_more_than_a_sparse_one(paper_run: Ran) -> None:
    quotients = [one.own for one in paper_run.document.quotients if one.title.startswith("Full over sparse")]
    found = [own for own in quotients if own is not None]
    if not found:
        pytest.skip("no network gave both")
    assert min(found) > 1
