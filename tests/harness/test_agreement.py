from __future__ import annotations

import pytest

from harness.agreement import adopt_accuracy, check_agreement
from harness.errors import MeasurementError
from harness.results.document import (
    Accuracy,
    Digests,
    Provenance,
    RunDocument,
    SchemeSummary,
    Sram,
    TickSeries,
)

ACCURACY = Accuracy(
    test_labels=(0, 1),
    predicted_before=(0, 0),
    predicted_after=(0, 1),
    classes=("a", "b"),
    train_images=2,
    epochs=1,
    losses=(0.5,),
    curve=((0, 0.5), (1, 1.0)),
    computed_on="host",
)
SRAM = Sram(
    kind="simulated",
    peak=10,
    static=1,
    state=2,
    arena=3,
    arena_touched=3,
    stack=4,
    agent=5,
    untouched_outside=True,
)


def document(target: str, states: dict[int, str], **changes: object) -> RunDocument:
    texts = {name: "x" for name, field in Provenance.model_fields.items() if field.annotation is str}
    provenance = Provenance.model_validate(
        {**texts, "duration_seconds": 1.0, "compiler_flags": (), "versions": {}}
        | {"git_revision": None, "git_dirty": None}
    )
    scheme = SchemeSummary(
        method="m",
        description="",
        updated_bias_layers=0,
        updated_weight_layers=(),
        trainable_values=0,
        rounding="nearest",
        learning_rate=0.1,
        extra_memory_analytic=0,
    )
    fields = {
        "suite": "s",
        "target": target,
        "target_title": target,
        "core": "c",
        "method": "m",
        "seed": 1,
        "status": "done",
        "provenance": provenance,
        "scheme": scheme,
        "digests": tuple(Digests(steps=steps, state=state) for steps, state in states.items()),
        **changes,
    }
    return RunDocument.model_validate(fields)


HOST = document("host", {20: "aa", 30: "bb", 900: "cc"}, accuracy=ACCURACY)


def test_a_target_with_equal_states_takes_the_accuracy_and_says_so() -> None:
    adopted = adopt_accuracy(document("device", {20: "aa", 30: "bb"}, sram=SRAM), HOST)
    assert adopted.accuracy == ACCURACY
    assert adopted.sram == SRAM
    assert "30 equal steps" in adopted.notes["accuracy"]


@pytest.mark.parametrize("states", [{20: "aa", 30: "XX"}, {20: "XX", 30: "bb"}])
def test_any_different_state_takes_all_figures_away(states: dict[int, str]) -> None:
    ticks = TickSeries(unit="instructions", kind="simulated", values=(1,))
    device = document("device", states, sram=SRAM, step_ticks=ticks, predict_ticks=ticks)
    adopted = adopt_accuracy(device, HOST)
    assert adopted.status == "failed"
    assert "does not compute the same bits" in adopted.reason
    assert adopted.sram is adopted.step_ticks is adopted.predict_ticks is adopted.accuracy is None


@pytest.mark.parametrize("states", [{}, {19: "aa"}, {25: "aa"}])
def test_too_few_equal_steps_prove_nothing(states: dict[int, str]) -> None:
    reference = document("host", {19: "aa", 30: "bb"}, accuracy=ACCURACY)
    with pytest.raises(MeasurementError, match="20 or more steps"):
        check_agreement(document("device", states), reference)


def test_without_a_finished_reference_nothing_is_adopted() -> None:
    device = document("device", {30: "bb"})
    assert adopt_accuracy(device, None) == device
    assert adopt_accuracy(device, HOST.model_copy(update={"status": "failed"})) == device
    assert adopt_accuracy(HOST, HOST) == HOST


def test_adopting_twice_changes_nothing() -> None:
    once = adopt_accuracy(document("device", {30: "bb"}), HOST)
    assert adopt_accuracy(once, HOST) == once
