"""What may stand side by side, and what is refused."""

from __future__ import annotations

from types import ModuleType

import pytest

from harness.errors import ResultsError
from harness.results.comparison import (
    accuracies,
    by_trainer,
    compare,
    difference,
    digest_checks,
    training_effect,
)
from harness.results.document import Digests, RunDocument

EMULATOR = "qemu-mps2-an500"


def with_provenance(run: RunDocument, **changes: str) -> RunDocument:
    return run.model_copy(update={"provenance": run.provenance.model_copy(update=changes)})


def test_methods_by_extra_memory_and_budgeted_targets_first(factory: ModuleType) -> None:
    comparison = compare(factory.documents())
    assert comparison.methods == ("last-layer", "bias-only:12", "sparse-49kb", "sparse-99kb", "full")
    assert comparison.targets == (EMULATOR, "host")
    cell = comparison.cell("full", EMULATOR)
    assert [run.seed for run in cell.done] == [0, 1]
    assert [run.reason for run in cell.missing] == [factory.NOT_RUN_REASON]


def test_nothing_to_compare_is_said(factory: ModuleType) -> None:
    with pytest.raises(ResultsError, match="no run documents"):
        compare([])


def test_two_suites_are_refused(factory: ModuleType) -> None:
    runs = [factory.document("full", "host", 0), factory.document("full", "host", 1, suite="tables")]
    with pytest.raises(ResultsError, match="different suites: people-detection; tables"):
        compare(runs)


@pytest.mark.parametrize(
    ("field", "words"), [("model_digest", "different networks"), ("dataset_digest", "different datasets")]
)
def test_two_networks_or_datasets_are_refused(factory: ModuleType, field: str, words: str) -> None:
    one, other = factory.document("full", "host", 0), factory.document("last-layer", "host", 0)
    with pytest.raises(ResultsError, match=words):
        compare([one, with_provenance(other, **{field: "another"})])


def test_a_failed_run_may_lack_a_network(factory: ModuleType) -> None:
    failed = with_provenance(factory.document(*factory.FAILED), model_digest="", model_name="")
    assert compare([factory.document("full", "host", 0), failed]).methods == ("sparse-99kb", "full")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gradient": "i16"}, "f32 gradients.*i16 gradients"),
        ({"rounding": "nearest"}, "nearest rounding.*stochastic rounding"),
        ({"learning_rate": 0.5}, "learning rate 0.001.*learning rate 0.5"),
        ({"accumulate": 4}, "an update every 4 images"),
    ],
)
def test_one_method_with_two_options_is_refused(
    factory: ModuleType, change: dict[str, object], words: str
) -> None:
    one, other = factory.document("full", "host", 0), factory.document("full", "host", 1)
    changed = other.model_copy(update={"scheme": other.scheme.model_copy(update=change)})
    with pytest.raises(ResultsError, match=f"different options of full: .*{words}"):
        compare([one, changed])
    apart = factory.document("last-layer", "host", 0)
    assert len(compare([apart, changed]).methods) == 2


def test_the_same_cell_twice_is_refused(factory: ModuleType) -> None:
    run = factory.document("full", "host", 0)
    with pytest.raises(ResultsError, match="full on host with seed 0 is there twice"):
        compare([run, run])


def test_known_differences(factory: ModuleType) -> None:
    cells = by_trainer(compare(factory.documents()))["host"]
    sparse = difference(cells["sparse-49kb"], cells["last-layer"])
    bias = difference(cells["bias-only:12"], cells["last-layer"])
    assert sparse is not None and bias is not None
    assert sparse.distinguishable and sparse.value > 0
    assert not bias.distinguishable


def test_differences_use_the_seeds_that_both_have(factory: ModuleType) -> None:
    runs = [factory.document("sparse-49kb", "host", seed) for seed in (0, 1)]
    runs += [factory.document("last-layer", "host", seed) for seed in (1, 2)]
    cells = by_trainer(compare(runs))["host"]
    found = difference(cells["sparse-49kb"], cells["last-layer"])
    assert found is not None and found.seeds == 1
    apart = compare([runs[0], runs[3]])
    assert difference(apart.cell("sparse-49kb", "host"), apart.cell("last-layer", "host")) is None


def test_training_helped(factory: ModuleType) -> None:
    effect = training_effect(compare(factory.documents()).cell("sparse-49kb", "host"))
    assert effect is not None and effect.low > 0.2


def test_different_test_images_are_refused(factory: ModuleType) -> None:
    run = factory.document("sparse-49kb", "host", 0)
    assert run.accuracy is not None
    moved = run.accuracy.model_copy(update={"test_labels": (*run.accuracy.test_labels[1:], 0)})
    other = factory.document("sparse-49kb", "host", 1, accuracy=moved)
    with pytest.raises(ResultsError, match="tested on different images"):
        accuracies(compare([run, other]).cell("sparse-49kb", "host"))


def test_a_missing_prediction_is_refused(factory: ModuleType) -> None:
    run = factory.document("sparse-49kb", "host", 0)
    assert run.accuracy is not None
    short = run.accuracy.model_copy(update={"predicted_after": run.accuracy.predicted_after[:-1]})
    cell = compare([run.model_copy(update={"accuracy": short})]).cell("sparse-49kb", "host")
    with pytest.raises(ResultsError, match="400 test labels and 399 predictions after"):
        accuracies(cell)


def test_documents_that_disagree_on_one_training_are_refused(factory: ModuleType) -> None:
    run = factory.document("sparse-49kb", EMULATOR, 0)
    assert run.accuracy is not None
    flipped = tuple(1 - guess for guess in run.accuracy.predicted_after)
    other = run.accuracy.model_copy(update={"predicted_after": flipped})
    with pytest.raises(ResultsError, match="disagree on what sparse-49kb with seed 0 predicted"):
        by_trainer(compare([run, factory.document("sparse-49kb", "host", 0, accuracy=other)]))


def test_equal_digests(factory: ModuleType) -> None:
    checks = digest_checks(compare(factory.documents()))
    assert checks and all(check.equal for check in checks)
    assert {check.steps for check in checks} == {30, factory.STEPS}
    assert ("sparse-99kb", 2) not in {(check.method, check.seed) for check in checks}


def test_a_different_digest_is_found(factory: ModuleType) -> None:
    wrong = (Digests(steps=30, state="0" * 64),)
    runs = [factory.document("full", "host", 0), factory.document("full", EMULATOR, 0, digests=wrong)]
    (check,) = digest_checks(compare(runs))
    assert not check.equal
    assert dict(check.states)[EMULATOR] == "0" * 64


def test_digests_after_different_steps_are_not_held_against_each_other(factory: ModuleType) -> None:
    other = (Digests(steps=31, state="0" * 64),)
    runs = [factory.document("full", "host", 0), factory.document("full", EMULATOR, 0, digests=other)]
    assert digest_checks(compare(runs)) == ()
