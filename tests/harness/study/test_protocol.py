from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.errors import HarnessError
from harness.results.document import Accuracy, RunDocument
from harness.study import protocol as study
from harness.study.variants import Reference
from harness.suite import Method

MakeRun = Callable[..., RunDocument]
MakeAccuracy = Callable[[tuple[int, ...], tuple[int, ...]], Accuracy]
METHODS = (Method(name="last-layer", learning_rate=1.0), Method(name="sparse", learning_rate=1.0))
LABELS = (0, 1, 0, 1)


def selected(
    make_run: MakeRun, accuracy_of: MakeAccuracy, scores: dict[tuple[str, float, int], int]
) -> list[RunDocument]:
    """Documents of the selection: by (method, rate, seed), how many of four images were right."""
    guesses = {0: (1, 0, 1, 0), 1: (0, 0, 1, 0), 2: (0, 1, 1, 0), 3: (0, 1, 0, 0), 4: LABELS}
    methods = {method.name: method for method in METHODS}
    return [
        make_run(
            method=study.at_rate(methods[name], rate).name,
            seed=seed,
            accuracy=accuracy_of(LABELS, guesses[right]),
        )
        for (name, rate, seed), right in scores.items()
    ]


def test_the_best_mean_validation_accuracy_wins_and_the_smaller_rate_of_equals(
    make_run: MakeRun, accuracy_of: MakeAccuracy
) -> None:
    scores = {
        **{("last-layer", 0.1, 0): 4, ("last-layer", 0.1, 1): 2},
        **{("last-layer", 0.2, 0): 3, ("last-layer", 0.2, 1): 3},
        **{("sparse", 0.1, 0): 2, ("sparse", 0.1, 1): 2},
        **{("sparse", 0.2, 0): 4, ("sparse", 0.2, 1): 1},
    }
    chosen = study.choose_rates(METHODS, (0.1, 0.2), selected(make_run, accuracy_of, scores))
    assert chosen == {"last-layer": (0.1, 0.75), "sparse": (0.2, 0.625)}


def test_a_rate_that_diverged_with_one_seed_is_out(make_run: MakeRun, accuracy_of: MakeAccuracy) -> None:
    runs = selected(make_run, accuracy_of, {("sparse", 0.1, 0): 2, ("sparse", 0.2, 0): 4})
    bad = make_run(method=runs[1].method, seed=1, status="failed", reason="training diverged")
    assert study.choose_rates(METHODS[1:], (0.1, 0.2), [*runs, bad])["sparse"] == (0.1, 0.5)
    all_bad = [run.model_copy(update={"status": "failed", "reason": "diverged"}) for run in runs]
    with pytest.raises(HarnessError, match="sparse trained at no learning rate of the grid: diverged"):
        study.choose_rates(METHODS[1:], (0.1, 0.2), all_bad)


def test_a_choice_at_an_end_of_the_grid_is_said() -> None:
    rates = (0.1, 0.2, 0.4)
    assert study.edge_warnings({"a": (0.2, 0.5)}, rates) == []
    (warning,) = study.edge_warnings({"a": (0.4, 0.5)}, rates)
    assert "a: the chosen learning rate 0.4 is the largest" in warning


def test_rows_compare_with_the_baseline_paired(make_run: MakeRun, accuracy_of: MakeAccuracy) -> None:
    final = [
        make_run(method="last-layer", seed=seed, accuracy=accuracy_of(LABELS, (0, 1, 1, 0)))
        for seed in (0, 1)
    ] + [make_run(method="sparse", seed=seed, accuracy=accuracy_of(LABELS, (0, 1, 0, 0))) for seed in (0, 1)]
    choice = {"last-layer": (0.1, 0.9), "sparse": (0.2, 0.8)}
    baseline, sparse = study.make_rows(METHODS, [choice], final, {})
    assert baseline.against_baseline is None
    assert sparse.against_baseline is not None
    assert sparse.against_baseline.value == pytest.approx(0.25)
    assert (sparse.before.value, sparse.after.value) == (0.5, 0.75)
    assert (sparse.learning_rates, sparse.validation_accuracy, sparse.state_bytes) == ((0.2,), 0.8, 12)


def test_a_variant_is_compared_with_its_reference_paired(
    make_run: MakeRun, accuracy_of: MakeAccuracy
) -> None:
    methods = tuple(Method(name=name, scheme="sparse", learning_rate=1.0) for name in ("a f32", "a i16"))
    guesses = {"a f32": (0, 1, 0, 0), "a i16": (0, 1, 0, 1)}
    final = [
        make_run(method=name, seed=seed, accuracy=accuracy_of(LABELS, guess))
        for name, guess in guesses.items()
        for seed in (0, 1)
    ]
    choice = dict.fromkeys(guesses, (0.1, 0.9))
    held_against = {"a i16": Reference("a f32", "i16", "f32")}
    first, second = study.make_rows(methods, [choice], final, held_against)
    assert first.reference is first.against_reference is first.against_baseline is None
    assert second.reference == held_against["a i16"]
    assert second.against_reference is not None
    assert second.against_reference.value == pytest.approx(0.25)


def test_folds_are_pooled_by_method_and_seed(make_run: MakeRun, accuracy_of: MakeAccuracy) -> None:
    folds = [
        [make_run(method="sparse", seed=seed, accuracy=accuracy_of((0, 1), (0, seed))) for seed in order]
        for order in ((0, 1), (1, 0))
    ]
    pooled = study.pool_folds(folds)
    assert [run.accuracy.predicted_after for run in pooled if run.accuracy] == [(0, 0, 0, 0), (0, 1, 0, 1)]
    failed = make_run(method="sparse", seed=0, status="failed", reason="device gone")
    with pytest.raises(HarnessError, match="sparse, seed 0, gave no accuracy: device gone"):
        study.pool_folds([[failed]])
