from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MeasurementError, UsageError
from harness.measure import accuracy
from harness.measure.accuracy import Course, PredictReply, StepReply, TrainingStep

COURSE = Course(learning_rate=0.1, epochs=3, warmup_epochs=1)
IMAGES = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
LABELS = np.array([0, 1] * 5, dtype=np.int64)


class FakeTrainer:
    """Knows the labels of the samples it was trained on, says class 0 to all others."""

    def __init__(self, loss: float = 0.5) -> None:
        self.known: dict[bytes, int] = {}
        self.rates: list[float] = []
        self.trained: list[tuple[bytes, int]] = []
        self.loss = loss

    def set_learning_rate(self, learning_rate: float) -> None:
        self.rates.append(learning_rate)

    def train(self, sample: bytes, label: int) -> StepReply:
        self.known[sample] = label
        self.trained.append((sample, label))
        return StepReply(self.loss, 10)

    def predict(self, sample: bytes) -> PredictReply:
        label = self.known.get(sample, 0)
        return PredictReply(tuple(float(label == index) for index in range(2)), 5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_every_epoch_shows_every_image_once(seed: int, count: int) -> None:
    images = list(range(100, 100 + count))
    steps = accuracy.plan_training(COURSE, images, seed)
    assert len(steps) == 4 * count
    for epoch in range(4):
        assert sorted(step.image for step in steps[epoch * count : (epoch + 1) * count]) == images


def test_the_seed_alone_fixes_the_course() -> None:
    first, again, other = (accuracy.plan_training(COURSE, range(50), seed) for seed in (1, 1, 2))
    assert first == again
    assert [step.image for step in first] != [step.image for step in other]
    assert {step.flip for step in first} == {True, False}


def test_the_order_does_not_depend_on_flips_or_rate() -> None:
    plain = accuracy.plan_training(Course(0.2, 3, flips=False), range(20), 1)
    assert [step.image for step in plain] == [
        step.image for step in accuracy.plan_training(COURSE, range(20), 1)
    ]
    assert not any(step.flip for step in plain)


def test_learning_rate_warms_up_then_falls_to_nearly_zero() -> None:
    rates = [accuracy.learning_rate_at(COURSE, step, 10) for step in range(40)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[9] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(0.1)
    assert rates[25] == pytest.approx(0.05)
    assert rates == rates[:10] + sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.001
    assert all(rate == float(np.float32(rate)) for rate in rates)


def test_a_constant_schedule_is_constant() -> None:
    course = Course(0.5, 2, warmup_epochs=0, schedule="constant")
    assert {accuracy.learning_rate_at(course, step, 7) for step in range(14)} == {0.5}


def test_quantize_subtracts_128_and_mirrors_columns() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    plain = np.frombuffer(accuracy.quantize(image), dtype=np.int8)
    np.testing.assert_array_equal(plain, image.reshape(-1).astype(np.int16) - 128)
    mirrored = np.frombuffer(accuracy.quantize(image, flip=True), dtype=np.int8).reshape(2, 2, 3)
    np.testing.assert_array_equal(mirrored, plain.reshape(2, 2, 3)[:, ::-1])


def test_training_sends_each_sample_flipped_as_planned_and_the_rate_only_when_it_changes() -> None:
    device = FakeTrainer()
    steps = [TrainingStep(3, False, 0.5), TrainingStep(4, True, 0.5), TrainingStep(3, False, 0.25)]
    replies = accuracy.train_steps(device, IMAGES, LABELS, steps)
    assert device.rates == [0.5, 0.25]
    assert device.trained == [
        (accuracy.quantize(IMAGES[3]), 1),
        (accuracy.quantize(IMAGES[4], flip=True), 0),
        (accuracy.quantize(IMAGES[3]), 1),
    ]
    assert [reply.ticks for reply in replies] == [10, 10, 10]


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_measurement(loss: float) -> None:
    with pytest.raises(MeasurementError, match="training diverged"):
        accuracy.train_steps(FakeTrainer(loss), IMAGES, LABELS, [TrainingStep(0, False, 0.1)])


def test_accuracy_holds_predictions_before_and_after_and_the_curve() -> None:
    # The held-out images are copies of training images, so that the fake knows them after training.
    images = np.concatenate([IMAGES[:4], IMAGES[:4]])
    labels = np.array([0, 1, 0, 1] * 2, dtype=np.int64)
    steps = accuracy.plan_training(Course(0.1, 2, flips=False), range(4), 0)
    heard: list[int] = []
    progress: list[int] = []
    result = accuracy.measure_accuracy(
        FakeTrainer(),
        images,
        labels,
        steps,
        range(4, 8),
        class_names=["no", "yes"],
        epochs=3,
        computed_on="fake",
        curve_points=3,
        after_step=heard.append,
        on_progress=progress.append,
    )
    assert result.test_labels == (0, 1, 0, 1)
    assert result.predicted_before == (0, 0, 0, 0)
    assert result.predicted_after == (0, 1, 0, 1)
    assert result.curve == ((0, 0.5), (4, 1.0), (8, 1.0), (12, 1.0))
    assert (result.train_images, len(result.losses)) == (4, 12)
    assert heard == list(range(1, 13))
    assert progress == list(range(1, accuracy.accuracy_calls(12, 4, 3) + 1))


def test_a_test_image_among_the_training_images_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="split"):
        accuracy.measure_accuracy(
            FakeTrainer(),
            IMAGES,
            LABELS,
            [TrainingStep(0, False, 0.1)],
            [0, 1],
            class_names=["a", "b"],
            epochs=1,
            computed_on="fake",
        )


@pytest.mark.parametrize(
    "course", [Course(0.0, 1), Course(float("nan"), 1), Course(0.1, 0), Course(0.1, 1, -1)]
)
def test_a_course_that_cannot_train_is_refused(course: Course) -> None:
    with pytest.raises(UsageError):
        accuracy.plan_training(course, range(3), 0)
    with pytest.raises(UsageError):
        accuracy.plan_training(COURSE, [], 0)


@given(st.integers(1, 500), st.integers(1, 20))
def test_curve_points_ascend_and_end_with_the_last_step(total: int, points: int) -> None:
    found = accuracy.curve_steps(total, points)
    assert found == sorted(set(found))
    assert found[-1] == total
    assert 1 <= len(found) <= points


def test_equal_logits_predict_the_lowest_class() -> None:
    assert PredictReply((1.0, 2.0, 2.0), 0).predicted == 1
