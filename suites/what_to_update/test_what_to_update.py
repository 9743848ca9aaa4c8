"""What has to hold of schemes beside each other: `pytest --target NAME --suite what-to-update`."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from harness.pytest_plugin import SuiteRun
from harness.results.document import RunDocument
from harness.run.agreement import MINIMUM_STEPS, check_agreement

LESS_TO_MORE = ("last-layer", "bias-only:12", "sparse-49kb", "full")
"""Each updates more than the one before it."""


def test_the_method_ran(run_document: RunDocument, record_figures: Callable[[], None]) -> None:
    if run_document.status != "done":
        pytest.fail(run_document.reason, pytrace=False)
    record_figures()


def test_the_state_is_the_references(run_document: RunDocument, reference_document: RunDocument) -> None:
    if run_document.target == reference_document.target:
        pytest.skip("the target is the reference")
    assert check_agreement(run_document, reference_document) >= MINIMUM_STEPS


def test_losses_are_finite(run_document: RunDocument) -> None:
    assert run_document.accuracy is not None
    assert all(math.isfinite(loss) for loss in run_document.accuracy.losses)


def _peak(run: RunDocument) -> int:
    """Measured, or planned where SRAM is not measured; bytes."""
    if run.sram is not None:
        return run.sram.peak
    assert run.plan is not None
    return run.plan.arena_bytes + int(run.notes["state_bytes"])


def test_more_to_update_takes_more_memory(suite_run: SuiteRun) -> None:
    runs = [suite_run.documents[suite_run.target, method] for method in LESS_TO_MORE]
    extra = [run.scheme.extra_memory_analytic for run in runs]
    peaks = [_peak(run) for run in runs if run.status == "done"]
    assert extra == sorted(set(extra))
    assert peaks == sorted(set(peaks))


def test_scaling_of_gradients_costs_no_sram_worth_mentioning(suite_run: SuiteRun) -> None:
    scaled, plain = (
        suite_run.documents[suite_run.target, method] for method in ("sparse-49kb", "sparse-49kb, no QAS")
    )
    assert not plain.scheme.quantization_aware_scaling
    assert scaled.scheme.extra_memory_analytic == plain.scheme.extra_memory_analytic
    assert scaled.plan is not None and plain.plan is not None
    assert scaled.plan.arena_bytes == plain.plan.arena_bytes
