"""The page of an accuracy study: what it says, and that nothing of a document is markup in it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from harness.results.document import Sram
from harness.results.statistics import Difference, Interval
from harness.results.study import Against, Candidate, Measured, Protocol, StudyDocument, StudyRow, Ticks
from reports.charts.study import memory_chart, selection_chart
from reports.study import render_study, result_table, verdict

HOSTILE = "<img src=//evil.invalid/x onerror='x'>{{7*7}}"


def row(method: str, gain: tuple[float, float, float] | None = None, **changes: Any) -> StudyRow:
    candidates = [
        Candidate(fold=1, learning_rate=rate, convolution_rate=factor, accuracy=0.8, images=8)
        for rate in (0.1, 0.2)
        for factor in (1.0, 10.0)
    ]
    candidates[0] = candidates[0].model_copy(update={"chosen": True, "accuracy": 0.9})
    candidates[1] = candidates[1].model_copy(update={"accuracy": None, "reason": "diverged"})
    fields: dict[str, Any] = {
        "method": method,
        "scheme": method.partition(",")[0],
        "rounding": "nearest",
        "gradient": "i16",
        "quantization_aware_scaling": True,
        "rule": "sgd",
        "momentum": 0.9,
        "accumulate": 1,
        "precision": "int8",
        "learning_rates": (0.1,),
        "convolution_rates": (1.0,),
        "rates_are_searched": (True, True),
        "validation_accuracy": 0.9,
        "before": Interval(0.5, 0.4, 0.6, 2, 100),
        "after": Interval(0.8, 0.7, 0.9, 2, 100),
        "seed_accuracies": (0.7, 0.9),
        "computed_on": "host",
        "against_baseline": None if gain is None else Difference(*gain, 2, 100, 20),
        "reference": None,
        "against_reference": None,
        "against": (Against(method="full", difference=Difference(0.1, 0.05, 0.15, 2, 100, 20)),),
        "state_bytes": 1,
        "arena_bytes": 2,
        "extra_memory_analytic": 2048,
        "measured": measured(),
        "candidates": tuple(candidates),
    }
    return StudyRow.model_validate({**fields, **changes})


def measured() -> Measured:
    ticks = Ticks(unit="instructions", kind="simulated", median=37_000_000, low=1, high=2)
    sram = Sram(
        kind="measured",
        peak=94_208,
        static=0,
        state=1,
        arena=2,
        arena_touched=2,
        stack=3,
        agent=4,
        untouched_outside=True,
    )
    return Measured(target="board", sram=sram, step_ticks=ticks, predict_ticks=ticks, equal_steps=30)


@pytest.fixture
def study(factory: ModuleType) -> StudyDocument:
    provenance = factory.document("full", "host", 0).provenance
    protocol = Protocol(
        folds=1,
        selection_folds=2,
        selection_seeds=1,
        seeds=2,
        epochs=10,
        warmup_epochs=1,
        schedule="cosine",
        flips=True,
        train_images=382,
        test_images=100,
    )
    rows = (
        row("last-layer"),
        row("sparse", (0.05, 0.01, 0.09)),
        row("full", (-0.05, -0.09, -0.01), against=()),
        row(
            "sparse, fp32", (0.01, -0.03, 0.05), measured=None, measured_reason="host alone", precision="fp32"
        ),
        row("odd", None, after=None, reason="seed 1: diverged"),
    )
    return StudyDocument(
        suite="s",
        title="S",
        baseline="last-layer",
        against=("full",),
        protocol=protocol,
        measured_on="board",
        rows=rows,
        warnings=("careful",),
        provenance=provenance,
        measured_provenance=provenance,
    )


def test_the_verdict_names_what_can_be_told_apart(study: StudyDocument) -> None:
    text = verdict(study)
    assert "better: sparse; worse: full; 1 method cannot be told apart" in text


def test_a_row_has_its_figures_and_a_dash_where_there_is_none(study: StudyDocument) -> None:
    rows = {line[0]: line for line in result_table(study).rows}
    assert rows["sparse"][-1] == "37\u202f000\u202f000"
    assert rows["sparse, fp32"][-2:] == ("–", "–")
    assert "failed" in rows["odd"]


def test_charts_have_a_point_for_each_method_with_a_size(study: StudyDocument) -> None:
    peak, extra = memory_chart(study).choices
    names = [trace["name"] for trace in peak.figure["data"]]
    assert names == ["last-layer", "sparse", "full"]
    assert [trace["x"][0] for trace in extra.figure["data"]] == sorted(
        {trace["x"][0] for trace in extra.figure["data"]}
    )
    assert extra.table is not None and {line[-1] for line in extra.table.rows} == {"2\u202f048"}
    choices = selection_chart(study).choices
    assert [choice.label for choice in choices] == [one.method for one in study.rows]
    assert choices[0].figure["data"][-1]["x"] == [0.1]
    assert choices[0].table is not None and "diverged" in choices[0].table.rows[1]


def test_the_page_says_what_was_chosen_and_what_was_tested(study: StudyDocument) -> None:
    page = render_study(study)
    for text in ("2 folds of what is not tested", "The test images had no part in it", "careful", "board"):
        assert text in page
    assert "seed 1: diverged" in page


def test_nothing_of_a_document_is_markup(study: StudyDocument) -> None:
    hostile = study.model_copy(
        update={
            "title": HOSTILE,
            "warnings": (HOSTILE,),
            "rows": (*study.rows, row(HOSTILE, description=HOSTILE, measured_reason=HOSTILE)),
        }
    )
    page = render_study(hostile)
    assert "<img" not in page.partition("<script")[0]
    assert "49" not in page.partition("<main>")[0].partition("<title>")[2].partition("</title>")[0]
