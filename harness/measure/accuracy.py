"""Accuracy: train a device image by image, then ask it for the class of every held-out image.

`plan_training` fixes the whole course (which image, flipped or not, at which learning rate) from a seed
alone, so that two devices that follow its first N steps must end with the same state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from harness.errors import MeasurementError, UsageError
from harness.results.document import Accuracy


class TrainingDivergedError(MeasurementError):
    """A loss or logit that is not finite: no figure may come of that training."""


Image = npt.NDArray[np.uint8]
"""One photograph: uint8, shape (height, width, 3)."""

Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class StepReply:
    """What one training step answers; ticks are raw counts in the target's tick unit."""

    loss: float
    ticks: int


@dataclass(frozen=True)
class PredictReply:
    logits: tuple[float, ...]
    ticks: int

    @property
    def predicted(self) -> int:
        """The class with the largest logit, the lowest such class if several are equal."""
        return max(range(len(self.logits)), key=lambda index: self.logits[index])


class Trainable(Protocol):
    """A device as the training loop sees it. Samples are int8, HWC."""

    def set_learning_rate(self, learning_rate: float) -> None: ...

    def train(self, sample: bytes, label: int) -> StepReply: ...

    def predict(self, sample: bytes) -> PredictReply: ...


@dataclass(frozen=True)
class TrainingStep:
    """One step of the course. `image` is an index into the dataset, learning rate is per image."""

    image: int
    flip: bool
    learning_rate: float


@dataclass(frozen=True)
class Course:
    """How one method is trained: everything but the images and the seed."""

    learning_rate: float
    """Peak step size per image."""
    epochs: int
    warmup_epochs: int = 1
    schedule: Schedule = "cosine"
    flips: bool = True


def learning_rate_at(course: Course, step: int, steps_per_epoch: int) -> float:
    """Learning rate of step `step` (from 0): linear warm-up, then constant or half a cosine down to zero.

    `epochs` counts the epochs after the warm-up. Rounded to float32, which is what the device computes with.
    """
    warmup = course.warmup_epochs * steps_per_epoch
    if step < warmup:
        rate = course.learning_rate * (step + 1) / warmup
    elif course.schedule == "constant":
        rate = course.learning_rate
    else:
        progress = (step - warmup) / (course.epochs * steps_per_epoch)
        rate = course.learning_rate * 0.5 * (1.0 + math.cos(math.pi * progress))
    return float(np.float32(rate))


def plan_training(course: Course, images: Sequence[int], seed: int) -> tuple[TrainingStep, ...]:
    """The steps of `course` over the dataset indices `images`; order and flips come from `seed` alone."""
    if not images:
        raise UsageError("the training part of the dataset has no image")
    if course.epochs < 1 or course.warmup_epochs < 0 or not course.learning_rate > 0:
        raise UsageError(
            f"a course needs a positive learning rate and at least one epoch, not {course.learning_rate} and"
            f" {course.epochs}"
        )
    generator = np.random.Generator(np.random.PCG64(seed))
    steps: list[TrainingStep] = []
    for _ in range(course.warmup_epochs + course.epochs):
        order = generator.permutation(len(images))
        flips = generator.integers(0, 2, size=len(images))
        for position, flip in zip(order, flips, strict=True):
            rate = learning_rate_at(course, len(steps), len(images))
            steps.append(TrainingStep(images[int(position)], bool(flip) and course.flips, rate))
    return tuple(steps)


def quantize(image: Image, *, flip: bool = False) -> bytes:
    """The bytes of a sample for the trainer's input buffer: int8 pixel - 128, HWC, mirrored if `flip`."""
    mirrored = image[:, ::-1] if flip else image
    return (np.ascontiguousarray(mirrored) ^ np.uint8(0x80)).tobytes()


def check_reply(reply: StepReply, step: int) -> None:
    """A loss that is not finite means that training diverged; no figure may come of it."""
    if not math.isfinite(reply.loss):
        raise TrainingDivergedError(
            f"the loss of training step {step} is {reply.loss}: training diverged; lower the learning rate"
        )


def train_steps(
    device: Trainable,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    steps: Sequence[TrainingStep],
    *,
    on_step: Callable[[int], None] = lambda done: None,
) -> list[StepReply]:
    """Run `steps` on the device. images uint8 (N, H, W, 3), labels int64 (N,).

    `on_step` hears how many are done.
    """
    replies: list[StepReply] = []
    rate: float | None = None
    for number, step in enumerate(steps):
        if step.learning_rate != rate:
            device.set_learning_rate(step.learning_rate)
            rate = step.learning_rate
        reply = device.train(quantize(images[step.image], flip=step.flip), int(labels[step.image]))
        check_reply(reply, number)
        replies.append(reply)
        on_step(number + 1)
    return replies


def predict_images(
    device: Trainable,
    images: npt.NDArray[np.uint8],
    indices: Sequence[int],
    *,
    on_step: Callable[[int], None] = lambda done: None,
) -> list[PredictReply]:
    """One prediction for each of `indices`, in that order."""
    replies: list[PredictReply] = []
    for number, index in enumerate(indices):
        reply = device.predict(quantize(images[index]))
        if not all(math.isfinite(logit) for logit in reply.logits):
            raise TrainingDivergedError(f"the logits of image {index} are not finite: {reply.logits}")
        replies.append(reply)
        on_step(number + 1)
    return replies


def share_correct(predicted: Sequence[int], labels: Sequence[int]) -> float:
    """Top-1 accuracy in 0..1."""
    return sum(guess == label for guess, label in zip(predicted, labels, strict=True)) / len(labels)


def curve_steps(total: int, points: int) -> list[int]:
    """After which steps the held-out accuracy is taken: `points`, evenly spaced, the last one `total`."""
    if points < 1:
        return [total]
    return sorted({max(1, round(total * number / points)) for number in range(1, points + 1)})


def measure_accuracy(
    device: Trainable,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    steps: Sequence[TrainingStep],
    test: Sequence[int],
    *,
    class_names: Sequence[str],
    epochs: int,
    computed_on: str,
    curve_points: int = 8,
    after_step: Callable[[int], None] = lambda done: None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Accuracy:
    """Held-out predictions before and after the whole of `steps`, and the curve in between.

    The device has just been reset to its compiled-in weights. `after_step(n)` is called after n steps,
    before anything else is asked of the device; `on_progress` counts steps and predictions together.
    """
    if not test:
        raise UsageError("the test part of the dataset has no image")
    trained_images = {step.image for step in steps}
    if trained_images & set(test):
        raise MeasurementError(
            "test images are among the training images; the split of the dataset is broken"
        )
    truth = [int(labels[index]) for index in test]
    checkpoints = curve_steps(len(steps), curve_points)
    done = 0

    def predictions() -> list[int]:
        nonlocal done
        replies = predict_images(device, images, test, on_step=lambda count: on_progress(done + count))
        done += len(test)
        return [reply.predicted for reply in replies]

    before = after = predictions()
    curve = [(0, share_correct(before, truth))]
    losses: list[float] = []
    for first, last in zip([0, *checkpoints], checkpoints, strict=False):

        def progress(count: int, first: int = first, done: int = done) -> None:
            after_step(first + count)
            on_progress(done + count)

        replies = train_steps(device, images, labels, steps[first:last], on_step=progress)
        done += last - first
        losses.extend(reply.loss for reply in replies)
        after = predictions()
        curve.append((last, share_correct(after, truth)))
    return Accuracy(
        test_labels=tuple(truth),
        predicted_before=tuple(before),
        predicted_after=tuple(after),
        classes=tuple(class_names),
        train_images=len(trained_images),
        epochs=epochs,
        losses=tuple(losses),
        curve=tuple(curve),
        computed_on=computed_on,
    )


def accuracy_calls(steps: int, test_images: int, curve_points: int = 8) -> int:
    """How many device calls `measure_accuracy` makes, for a progress bar."""
    return steps + test_images * (1 + len(curve_steps(steps, curve_points)))
