from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.errors import MeasurementError
from harness.results.document import Accuracy, Digests, RunDocument, Sram, TickSeries
from harness.run.agreement import adopt_accuracy, check_agreement

Document = Callable[..., RunDocument]

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


@pytest.fixture
def document(make_run: Callable[..., RunDocument]) -> Document:
    def make(target: str, states: dict[int, str], **changes: object) -> RunDocument:
        digests = tuple(Digests(steps=steps, state=state) for steps, state in states.items())
        return make_run(target=target, digests=digests, **changes)

    return make


@pytest.fixture
def host(document: Document) -> RunDocument:
    return document("host", {20: "aa", 30: "bb", 900: "cc"}, accuracy=ACCURACY)


def test_a_target_with_equal_states_takes_the_accuracy_and_says_so(
    document: Document, host: RunDocument
) -> None:
    adopted = adopt_accuracy(document("device", {20: "aa", 30: "bb"}, sram=SRAM), host)
    assert adopted.accuracy == ACCURACY
    assert adopted.sram == SRAM
    assert "30 equal steps" in adopted.notes["accuracy"]


@pytest.mark.parametrize("states", [{20: "aa", 30: "XX"}, {20: "XX", 30: "bb"}])
def test_any_different_state_takes_all_figures_away(
    document: Document, host: RunDocument, states: dict[int, str]
) -> None:
    ticks = TickSeries(unit="instructions", kind="simulated", values=(1,))
    device = document("device", states, sram=SRAM, step_ticks=ticks, predict_ticks=ticks)
    adopted = adopt_accuracy(device, host)
    assert adopted.status == "failed"
    assert "does not compute the same bits" in adopted.reason
    assert adopted.sram is adopted.step_ticks is adopted.predict_ticks is adopted.accuracy is None


@pytest.mark.parametrize("states", [{}, {19: "aa"}, {25: "aa"}])
def test_too_few_equal_steps_prove_nothing(
    document: Document, host: RunDocument, states: dict[int, str]
) -> None:
    reference = document("host", {19: "aa", 30: "bb"}, accuracy=ACCURACY)
    with pytest.raises(MeasurementError, match="20 or more steps"):
        check_agreement(document("device", states), reference)


def test_without_a_finished_reference_nothing_is_adopted(document: Document, host: RunDocument) -> None:
    device = document("device", {30: "bb"})
    assert adopt_accuracy(device, None) == device
    assert adopt_accuracy(device, host.model_copy(update={"status": "failed"})) == device
    assert adopt_accuracy(host, host) == host


def test_adopting_twice_changes_nothing(document: Document, host: RunDocument) -> None:
    once = adopt_accuracy(document("device", {30: "bb"}), host)
    assert adopt_accuracy(once, host) == once
