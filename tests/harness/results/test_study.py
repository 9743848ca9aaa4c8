from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import ResultsError
from harness.results.document import RunDocument
from harness.results.statistics import Difference, Interval
from harness.results.study import (
    Candidate,
    Protocol,
    StudyDocument,
    StudyRow,
    load_study,
    save_study,
)


@pytest.fixture
def study(make_run: Callable[..., RunDocument]) -> StudyDocument:
    row = StudyRow(
        method="m",
        scheme="m",
        rounding="nearest",
        gradient="f32",
        quantization_aware_scaling=True,
        rule="sgd",
        momentum=0.9,
        accumulate=1,
        precision="int8",
        learning_rates=(0.1,),
        convolution_rates=(1.0,),
        rates_are_searched=(True, False),
        validation_accuracy=0.5,
        before=Interval(0.5, 0.4, 0.6, 2, 4),
        after=None,
        seed_accuracies=(),
        reason="diverged",
        computed_on="host",
        against_baseline=Difference(0.25, -0.1, 0.6, 2, 4, 3),
        reference=None,
        against_reference=None,
        state_bytes=1,
        arena_bytes=2,
        extra_memory_analytic=3,
        candidates=(
            Candidate(fold=1, learning_rate=0.1, convolution_rate=1, accuracy=0.5, images=4, chosen=True),
        ),
    )
    protocol = Protocol(
        folds=1,
        selection_folds=2,
        selection_seeds=1,
        seeds=2,
        epochs=1,
        warmup_epochs=1,
        schedule="cosine",
        flips=True,
        train_images=8,
        test_images=4,
    )
    return StudyDocument(
        suite="s",
        title="S",
        baseline="last-layer",
        protocol=protocol,
        rows=(row,),
        warnings=("careful",),
        provenance=make_run().provenance,
    )


def test_what_was_written_is_read(study: StudyDocument, tmp_path: Path) -> None:
    assert save_study(tmp_path, study) == tmp_path / "study.json"
    assert load_study(tmp_path) == study


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read"),
        ("{", "is no study"),
        ("[1]", "is no study"),
        ('{"schema_version": 7}', "has schema version 7"),
        ('{"schema_version": 1}', "is not a valid study: suite: Field required"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str | None, problem: str) -> None:
    if text is not None:
        (tmp_path / "study.json").write_text(text)
    with pytest.raises(ResultsError, match=problem) as caught:
        load_study(tmp_path)
    assert str(tmp_path / "study.json") in str(caught.value)


def test_unknown_fields_are_refused(study: StudyDocument, tmp_path: Path) -> None:
    path = save_study(tmp_path, study)
    path.write_text(json.dumps({**json.loads(path.read_text()), "more": 1}))
    with pytest.raises(ResultsError, match="more: Extra inputs"):
        load_study(tmp_path)
