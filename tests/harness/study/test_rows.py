from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.errors import HarnessError
from harness.results.document import Accuracy, RunDocument
from harness.results.study import Reference, StudyRow
from harness.study.candidates import Rates, Score
from harness.study.rows import Choice, make_rows, pool_folds
from harness.suite import Method

MakeRun = Callable[..., RunDocument]
MakeAccuracy = Callable[[tuple[int, ...], tuple[int, ...]], Accuracy]
METHODS = (Method(name="last-layer", learning_rate=1.0), Method(name="sparse", learning_rate=1.0))
LABELS = (0, 1, 0, 1)


def choice(**rates: float) -> Choice:
    """Each method at its rate, with 0.9 of ten validation images; a rate of 7 was tried too."""
    chosen = {name.replace("_", "-"): Rates(rate, 1.0) for name, rate in rates.items()}
    return Choice(
        chosen,
        {name: [Score(one, 0.9, 10), Score(Rates(7, 1), None, 0, "bad")] for name, one in chosen.items()},
    )


def rows(
    methods: tuple[Method, ...],
    choices: list[Choice],
    finals: list[list[RunDocument]],
    references: dict[str, Reference] | None = None,
    against: tuple[str, ...] = (),
) -> tuple[StudyRow, ...]:
    return make_rows(methods, choices, finals, references or {}, against, {}, {"sparse": "no room"})


@pytest.fixture
def final(make_run: MakeRun, accuracy_of: MakeAccuracy) -> list[RunDocument]:
    guesses = {"last-layer": (0, 1, 1, 0), "sparse": (0, 1, 0, 0)}
    return [
        make_run(method=name, seed=seed, accuracy=accuracy_of(LABELS, guess))
        for name, guess in guesses.items()
        for seed in (0, 1)
    ]


def test_rows_compare_with_the_baseline_paired(final: list[RunDocument]) -> None:
    baseline, sparse = rows(METHODS, [choice(last_layer=0.1, sparse=0.2)], [final], against=("sparse",))
    assert baseline.against_baseline is None
    assert sparse.against_baseline is not None and sparse.before is not None and sparse.after is not None
    assert sparse.against_baseline.value == pytest.approx(0.25)
    assert (sparse.before.value, sparse.after.value) == (0.5, 0.75)
    assert (sparse.learning_rates, sparse.validation_accuracy, sparse.state_bytes) == ((0.2,), 0.9, 12)
    assert (sparse.seed_accuracies, sparse.measured_reason) == ((0.75, 0.75), "no room")
    assert [(one.method, one.difference.value) for one in baseline.against] == [("sparse", -0.25)]
    assert sparse.against == ()
    assert [(one.learning_rate, one.accuracy, one.chosen) for one in sparse.candidates] == [
        (0.2, 0.9, True),
        (7.0, None, False),
    ]


def test_a_method_that_failed_once_has_no_accuracy_and_the_others_have(
    make_run: MakeRun, final: list[RunDocument]
) -> None:
    failed = make_run(method="sparse", seed=1, status="failed", reason="training diverged")
    baseline, sparse = rows(METHODS, [choice(last_layer=0.1, sparse=0.2)], [[*final[:3], failed]])
    assert baseline.after is not None
    assert sparse.after is sparse.against_baseline is None
    assert sparse.reason == "seed 1: training diverged"
    with pytest.raises(HarnessError, match="no method gave an accuracy; seed 1: training diverged"):
        rows(METHODS[1:], [choice(sparse=0.2)], [[final[2], failed]])


def test_a_variant_is_compared_with_its_reference_paired(
    make_run: MakeRun, accuracy_of: MakeAccuracy
) -> None:
    methods = tuple(Method(name=name, scheme="sparse", learning_rate=1.0) for name in ("a", "b"))
    guesses = {"a": (0, 1, 0, 0), "b": (0, 1, 0, 1)}
    final = [
        make_run(method=name, seed=seed, accuracy=accuracy_of(LABELS, guess))
        for name, guess in guesses.items()
        for seed in (0, 1)
    ]
    reference = Reference(variant="a", changed="i16", from_="f32")
    first, second = rows(methods, [choice(a=0.1, b=0.1)], [final], {"b": reference})
    assert first.reference is first.against_reference is first.against_baseline is None
    assert second.reference == reference
    assert second.against_reference is not None
    assert second.against_reference.value == pytest.approx(0.25)


def test_folds_are_pooled_by_method_and_seed(make_run: MakeRun, accuracy_of: MakeAccuracy) -> None:
    folds = [
        [make_run(method="sparse", seed=seed, accuracy=accuracy_of((0, 1), (0, seed))) for seed in order]
        for order in ((0, 1), (1, 0))
    ]
    pooled = pool_folds(folds)
    found = [run.accuracy.predicted_after for run in pooled.documents if run.accuracy]
    assert found == [(0, 0, 0, 0), (0, 1, 0, 1)]
    failed = make_run(method="sparse", seed=0, status="failed", reason="device gone")
    broken = pool_folds([folds[0], [failed]])
    assert broken.documents == ()
    assert broken.reasons == {"sparse": "seed 0, fold 2: device gone"}
