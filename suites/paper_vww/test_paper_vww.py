"""What has to hold of every cell of paper-vww. docs/paper.md says how to give it its data."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from harness.paper.plugin import PaperCell, Ran


def test_the_cell_ran(paper_cell: PaperCell, record_lines: Callable[[], None]) -> None:
    for line in paper_cell.lines:
        if line.status == "failed":
            pytest.fail(line.reason, pytrace=False)
    record_lines()


def test_training_was_finite(paper_cell: PaperCell) -> None:
    tested = [run.accuracy for run in paper_cell.runs if run.accuracy is not None]
    if not tested:
        pytest.skip("no accuracy is taken there")
    assert all(math.isfinite(loss) for accuracy in tested for loss in accuracy.losses)


def test_a_reduced_run_says_so(paper_run: Ran) -> None:
    document = paper_run.document
    accuracies = [line.own for line in document.lines if line.own and line.figure == "accuracy_after"]
    if not accuracies:
        pytest.skip("no accuracy was taken")
    assert all(own.note == document.reduced for own in accuracies)
