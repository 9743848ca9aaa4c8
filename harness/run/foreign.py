"""Runs of trainers that users bring: their inputs, pictures, and what is checked in place of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fixtures.datasets import Report, absolute_specification, load_dataset
from fixtures.datasets.dataset import index_digest
from harness.errors import MeasurementError, UsageError
from harness.firmware.build import Firmware
from harness.run.assemble import Inputs
from harness.run.cell import Measurement
from harness.run.prepare import Trainer
from harness.run.session import Session
from harness.suite import Method, Suite
from harness.targets import load_target
from harness.trainers.ask import ForeignTrainer, ask_trainer, check_buffers
from harness.trainers.declaration import TrainerDeclaration, TrainerError, read_trainer

Pixels = npt.NDArray[np.uint8]

LUMA = np.array([19595, 38470, 7471], dtype=np.uint32)
"""ITU-R 601 weights of red, green and blue in 65536ths, as Pillow has them."""


def foreign_methods(
    suite: Suite, folders: Sequence[Path], taken: Sequence[str], learning_rate: float | None, report: Report
) -> list[tuple[Method, Inputs]]:
    """The trainers in `folders`, each asked what it is, as methods with the inputs of their own size.

    UsageError: no learning rate, or a name that another method has. TrainerError, BuildError: see
    `ask_trainer`.
    """
    found: list[tuple[Method, Inputs]] = []
    names = list(taken)
    for folder in folders:
        declared = read_trainer(folder)
        if declared.name in names:
            raise UsageError(
                f"--trainer {folder}: there is another method named {declared.name!r};"
                " give it another name in trainer.toml"
            )
        names.append(declared.name)
        method = foreign_method(declared, learning_rate)
        trainer = ask_trainer(declared, load_target(suite.reference))
        found.append((method, foreign_inputs(suite, trainer, report)))
    return found


def foreign_method(declared: TrainerDeclaration, learning_rate: float | None) -> Method:
    """`declared` as a method. `learning_rate` replaces its own."""
    rate = learning_rate or declared.learning_rate
    if rate is None:
        raise UsageError(
            f"trainer {declared.name} has no tuned learning rate; give --learning-rate, or learning_rate in"
            " its trainer.toml"
        )
    # Its rounding and gradients are its own affair; these are the values that say nothing.
    return Method(
        name=declared.name,
        learning_rate=rate,
        epochs=declared.epochs,
        rounding="nearest",
        gradient="f32",
        quantization_aware_scaling=False,
    )


def foreign_inputs(suite: Suite, trainer: ForeignTrainer, report: Report) -> Inputs:
    """The suite's dataset at the size that the trainer takes."""
    specification = absolute_specification(suite.dataset)
    dataset = load_dataset(specification, trainer.image_size, report)
    name, count, outputs = trainer.declared.name, len(dataset.class_names), trainer.info.classes
    if outputs < count:
        raise TrainerError(
            f"trainer {name} has {outputs} classes, dataset {dataset.name} has {count}:"
            f" {', '.join(dataset.class_names)}"
        )
    unused = (f"(unused {number})" for number in range(count, outputs))
    return Inputs(
        suite=suite.name,
        backbone=trainer.declared.folder,
        model_name=trainer.info.network or name,
        model_digest=trainer.digest,
        dataset=specification,
        dataset_name=dataset.name,
        dataset_description=dataset.description,
        dataset_digest=dataset.digest,
        dataset_index=index_digest(dataset),
        class_names=(*dataset.class_names, *unused),
        image_size=trainer.image_size,
        channels=trainer.info.input_channels,
        foreign=trainer,
    )


def to_gray(images: Pixels) -> Pixels:
    """uint8 (N, H, W, 3) RGB → uint8 (N, H, W, 1), rounded."""
    gray = np.empty((*images.shape[:3], 1), dtype=np.uint8)
    for number, image in enumerate(images):
        gray[number, :, :, 0] = (image.astype(np.uint32) @ LUMA + 0x8000) >> 16
    return gray


def check_unchanged(trainer: ForeignTrainer) -> None:
    """MeasurementError where its sources are others by now than when it was asked."""
    if trainer.declared.digest() != trainer.digest:
        raise MeasurementError(f"trainer {trainer.declared.name} was changed during the run; run again")


class ForeignGuard:
    """Buffers that are the trainer's own, and a state that changes: else its digest proves nothing."""

    def __init__(self, foreign: ForeignTrainer, trainer: Trainer, firmware: Firmware, seed: int) -> None:
        self._foreign, self._trainer, self._firmware, self._seed = foreign, trainer, firmware, seed
        self._untrained = ""

    def on_start(self, session: Session) -> None:
        """Before anything is written to it. MeasurementError: see `check_buffers`."""
        info, asked = session.info, self._foreign.info
        check_buffers(info, session.spans, self._firmware.sram)
        what = ("network", "input_height", "input_width", "input_channels", "classes")
        for name in what:
            if getattr(info, name) != getattr(asked, name):
                raise MeasurementError(
                    f"trainer {self._foreign.declared.name} says {name} {getattr(info, name)!r} here and"
                    f" {getattr(asked, name)!r} on this computer"
                )
        session.reset(self._seed)
        self._untrained = session.digest()

    def check(self, measured: Measurement, session: Session) -> Trainer:
        """The trainer with the sizes it has on this target."""
        if measured.digests and all(digest.state == self._untrained for digest in measured.digests):
            raise MeasurementError(
                f"the state that trainer {self._foreign.declared.name} names did not change in"
                f" {measured.digests[-1].steps} training steps: its digest would prove nothing"
            )
        info = session.info
        return replace(
            self._trainer,
            plan_digest=info.plan_digest,
            arena_bytes=info.arena_bytes,
            state_bytes=info.state_bytes,
        )
