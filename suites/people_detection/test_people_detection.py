"""What has to hold for people detection on any target: `pytest --target NAME`."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from harness.pytest_plugin import SuiteRun
from harness.results.document import RunDocument
from harness.run.agreement import MINIMUM_STEPS, check_agreement


def test_the_method_ran(run_document: RunDocument, record_figures: Callable[[], None]) -> None:
    if run_document.status != "done":
        pytest.fail(run_document.reason, pytrace=False)
    record_figures()


def test_the_state_is_the_references(run_document: RunDocument, reference_document: RunDocument) -> None:
    if run_document.target == reference_document.target:
        pytest.skip("the target is the reference")
    assert check_agreement(run_document, reference_document) >= MINIMUM_STEPS


def test_sram_is_as_planned(run_document: RunDocument) -> None:
    sram, plan = run_document.sram, run_document.plan
    if sram is None:
        pytest.skip(f"SRAM is not measured on {run_document.target}")
    assert plan is not None
    assert 0 < sram.arena_touched <= plan.arena_bytes <= sram.arena
    assert sram.peak == sram.static + sram.state + sram.arena + sram.stack
    assert sram.stack > 0
    assert sram.untouched_outside
    assert plan.arena_bytes == plan.lower_bound + plan.gap_bytes


def test_it_fits_the_budget(run_document: RunDocument, suite_run: SuiteRun) -> None:
    method = next(m for m in suite_run.suite.methods if m.name == run_document.method)
    sram = run_document.sram
    if sram is None or sram.budget_bytes is None:
        pytest.skip(f"{run_document.target} stands for no part with an SRAM budget")
    if not method.fits_budget:
        assert sram.lacking_bytes == max(0, sram.peak - sram.budget_bytes)
        pytest.skip(f"not expected to fit: {sram.lacking_bytes} bytes over")
    assert sram.peak <= sram.budget_bytes


def test_latency_has_enough_samples(run_document: RunDocument) -> None:
    for series in (run_document.step_ticks, run_document.predict_ticks):
        assert series is not None
        assert len(series.values) >= 30
        assert min(series.values) > 0


def test_training_learns(run_document: RunDocument) -> None:
    accuracy = run_document.accuracy
    assert accuracy is not None
    assert all(math.isfinite(loss) for loss in accuracy.losses)
    before, after = accuracy.curve[0][1], accuracy.curve[-1][1]
    assert after > max(0.5, before)
