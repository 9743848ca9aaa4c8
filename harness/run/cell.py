"""One cell: one method on one target with one seed, from a loaded device to raw figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.devices.base import ClockReading, Device
from harness.errors import MeasurementError
from harness.measure import sram
from harness.measure.accuracy import (
    Course,
    TrainingStep,
    accuracy_calls,
    measure_accuracy,
    plan_training,
    predict_images,
    train_steps,
)
from harness.measure.sram import Area, Symbol, Touched
from harness.results.document import Accuracy, Digests, Energy, OperatorTicks
from harness.run.session import Session

Progress = Callable[[int, int], None]
"""Called as `progress(done, total)`, in device calls."""


@dataclass(frozen=True)
class Samples:
    """The dataset as a cell uses it. images uint8 (N, H, W, 3), labels int64 (N,), indices into them."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    train: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True)
class Task:
    """What a cell does on its device."""

    seed: int
    course: Course
    steps: int
    """Timed and digested training steps: the first of the course."""
    digest_steps: tuple[int, ...]
    """After how many of them the state is digested, ascending, the last one `steps`."""
    predictions: int
    """Timed predictions after the steps."""
    measure_sram: bool
    whole_course: bool
    """Whether to train the whole course afterwards, for the accuracy."""
    curve_points: int
    computed_on: str


@dataclass(frozen=True)
class Paint:
    """The areas to paint, and the symbols to name a stray byte by."""

    areas: tuple[Area, ...]
    symbols: tuple[Symbol, ...]


@dataclass(frozen=True)
class Measurement:
    """Raw figures of a cell. Ticks in the target's unit, in order."""

    step_ticks: tuple[int, ...]
    predict_ticks: tuple[int, ...]
    digests: tuple[Digests, ...]
    touched: Touched | None
    accuracy: Accuracy | None
    warnings: tuple[str, ...]
    operator_ticks: tuple[OperatorTicks, ...] = ()
    energy: Energy | None = None
    clock: ClockReading | None = None


def planned_calls(task: Task, samples: Samples) -> int:
    """Steps and predictions a cell makes, for its progress bar."""
    calls = task.steps + task.predictions
    if task.whole_course:
        course = (task.course.epochs + task.course.warmup_epochs) * len(samples.train)
        calls += accuracy_calls(course, len(samples.test), task.curve_points)
    return calls


def measure_cell(
    device: Device,
    session: Session,
    samples: Samples,
    task: Task,
    paint: Paint | None,
    progress: Progress = lambda done, total: None,
    on_start: Callable[[Session], None] = lambda session: None,
) -> Measurement:
    """Paint, start, run the timed steps and predictions, read SRAM back, then train the whole course.

    The firmware is loaded and has not run. `paint` None: SRAM is not measured. `on_start` may refuse what
    runs.
    """
    if paint is not None:
        sram.paint(device.memory, paint.areas)
    info = session.start()
    on_start(session)
    _check_fits(samples, info.classes, (info.input_height, info.input_width, info.input_channels))
    steps = plan_training(task.course, samples.train, task.seed)
    if len(steps) < task.steps:
        raise MeasurementError(f"the course has {len(steps)} steps, but {task.steps} are to be timed")
    total = planned_calls(task, samples)

    session.reset(task.seed)
    step_ticks, digests = _timed_steps(session, samples, steps, task, lambda done: progress(done, total))
    asked = [samples.test[number % len(samples.test)] for number in range(task.predictions)]
    replies = predict_images(
        session, samples.images, asked, on_step=lambda done: progress(task.steps + done, total)
    )
    touched = None
    if paint is not None:
        session.stop()
        touched = sram.evaluate(sram.read_back(device.memory, paint.areas), paint.symbols)
        session.go_on()
    accuracy = None
    if task.whole_course:
        before = task.steps + task.predictions
        accuracy, last = _whole_course(
            session, samples, steps, task, digests, lambda done: progress(before + done, total)
        )
        digests = (*digests, last)
    trouble = session.link_trouble()
    return Measurement(
        step_ticks=step_ticks,
        predict_ticks=tuple(reply.ticks for reply in replies),
        digests=digests,
        touched=touched,
        accuracy=accuracy,
        warnings=() if trouble is None else (trouble,),
    )


def _check_fits(samples: Samples, classes: int, shape: tuple[int, int, int]) -> None:
    if samples.images.shape[1:] != shape:
        raise MeasurementError(
            f"the images are {samples.images.shape[1:]} (height, width, channels), the trainer takes {shape}"
        )
    if len(samples.class_names) != classes:
        raise MeasurementError(f"the dataset has {len(samples.class_names)} classes, the trainer {classes}")


def _timed_steps(
    session: Session,
    samples: Samples,
    steps: Sequence[TrainingStep],
    task: Task,
    on_step: Callable[[int], None],
) -> tuple[tuple[int, ...], tuple[Digests, ...]]:
    ticks: list[int] = []
    digests: list[Digests] = []
    for last in task.digest_steps:
        first = len(ticks)
        replies = train_steps(
            session,
            samples.images,
            samples.labels,
            steps[first:last],
            on_step=lambda done, first=first: on_step(first + done),  # type: ignore[misc]
        )
        ticks.extend(reply.ticks for reply in replies)
        digests.append(Digests(steps=last, state=session.digest()))
    return tuple(ticks), tuple(digests)


def _whole_course(
    session: Session,
    samples: Samples,
    steps: Sequence[TrainingStep],
    task: Task,
    digests: Sequence[Digests],
    on_progress: Callable[[int], None],
) -> tuple[Accuracy, Digests]:
    """Train from the start again; on the way the state must come by the digests of the timed steps."""
    expected = {digest.steps: digest.state for digest in digests}

    def check(done: int) -> None:
        if done in expected and session.digest() != expected[done]:
            raise MeasurementError(
                f"after a reset the same {done} steps ended in another state:"
                " the trainer is not deterministic"
            )

    session.reset(task.seed)
    accuracy = measure_accuracy(
        session,
        samples.images,
        samples.labels,
        steps,
        samples.test,
        class_names=samples.class_names,
        epochs=task.course.epochs + task.course.warmup_epochs,
        computed_on=task.computed_on,
        curve_points=task.curve_points,
        after_step=check,
        on_progress=on_progress,
    )
    return accuracy, Digests(steps=len(steps), state=session.digest())
