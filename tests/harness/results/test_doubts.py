"""Each contradiction is said in a sentence, and a sound document raises none."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from harness.results.document import RunDocument, TickSeries
from harness.results.doubts import cautions, contradictions

CELL = ("sparse-49kb", "qemu-mps2-an500", 0)


def changed(run: RunDocument, part: str, **changes: Any) -> RunDocument:
    return run.model_copy(update={part: getattr(run, part).model_copy(update=changes)})


def test_a_sound_document_raises_no_doubt(factory: ModuleType) -> None:
    assert all(contradictions(run) == cautions(run) == () for run in factory.documents())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"peak": 1}, "peak SRAM is given as 1 bytes, but static, state, arena and stack add up to 158378"),
        ({"arena_touched": 133_121}, "133121 arena bytes were touched, but only 133120 are planned"),
        ({"untouched_outside": False}, "painting found bytes touched outside plan"),
        ({"lacking_bytes": 5}, "says 5 bytes are lacking, peak and budget say 0"),
    ],
)
def test_sram(factory: ModuleType, changes: dict[str, Any], sentence: str) -> None:
    assert any(
        sentence in doubt for doubt in contradictions(changed(factory.document(*CELL), "sram", **changes))
    )


def test_a_plan_larger_than_the_arena(factory: ModuleType) -> None:
    (doubt,) = contradictions(changed(factory.document(*CELL), "plan", arena_bytes=200_000))
    assert doubt == "the plan needs an arena of 200000 bytes, the firmware has 133120"


def test_too_few_ticks(factory: ModuleType) -> None:
    few = TickSeries(unit="instructions", kind="simulated", values=(1,) * 29)
    assert cautions(factory.document(*CELL, step_ticks=few)) == (
        "ticks of a training step are from 29 samples, fewer than 30",
    )


def test_divergence(factory: ModuleType) -> None:
    run = changed(factory.document(*CELL), "accuracy", losses=(0.7, float("nan"), 0.6))
    assert cautions(run) == ("the training loss is not finite from step 2 on: training diverged",)


def test_sources(factory: ModuleType) -> None:
    run = factory.document(*CELL)
    assert "changes that are in no revision" in cautions(changed(run, "provenance", git_dirty=True))[0]
    assert cautions(changed(run, "provenance", git_revision=None)) == ("the source revision is unknown",)


def test_the_runs_own_warnings_come_first(factory: ModuleType) -> None:
    run = changed(factory.document(*CELL, warnings=("slow link",)), "provenance", git_dirty=True)
    assert cautions(run)[0] == "slow link"
