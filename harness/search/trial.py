"""A trial: one scheme compiled, built for the host, trained and scored, in a process of its own."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from engine.compiler import compile_trainer
from engine.frontends import load_backbone
from engine.frontends.backbone import Backbone
from engine.search.space import to_scheme
from fixtures.datasets import Dataset, load_dataset
from harness.deadline import Deadline
from harness.devices.factory import open_device
from harness.errors import HarnessError, MeasurementError
from harness.measure.accuracy import TrainingDivergedError, plan_training, predict_images, train_steps
from harness.run.execute import LOAD_SECONDS
from harness.run.session import Session
from harness.run.workers import Report
from harness.search.build_slot import slot
from harness.search.evaluation import Evaluation
from harness.search.folds import Fold, labels_of, make_folds
from harness.search.setting import TARGET, Setting, Trial, key
from harness.targets import load_target


class DifferentInputsError(HarnessError):
    """A network, dataset or trainbench that is not the one the search was started with."""


@dataclass(frozen=True)
class TrialJob:
    """A trial to run: picklable. slots: where it is built, `slot_count` at a time; None: one a process."""

    setting: Setting
    trial: Trial
    key: str
    slots: Path | None
    slot_count: int


def run_trial(job: TrialJob, report: Report) -> Evaluation:
    """Train the scheme from the compiled-in weights in every fold and score what each did not see.

    Raises EngineError's kinds where it does not compile, HarnessError's where it cannot be built or run. A
    loss that is not finite is no error, but a trial that diverged.
    """
    started = time.monotonic()
    setting, trial = job.setting, job.trial
    backbone, dataset = _inputs(setting)
    if key(setting, trial) != job.key:
        raise DifferentInputsError("the trainbench of this process is not the one that asked for the trial")
    folds = make_folds(dataset, setting.folds)
    with slot(job.slots or _own_slots(), job.slot_count) as place:
        compiled = compile_trainer(backbone, to_scheme(trial.choice, backbone), setting.options, place.fresh)
        target = load_target(TARGET)
        firmware = place.build(target)
        loading = Deadline.after(LOAD_SECONDS)
        with open_device(target, loading) as device:
            device.load(firmware.elf, loading)
            session = Session(device, step_seconds=setting.step_seconds)
            session.start()
            if session.info.plan_digest != compiled.plan_digest:
                raise MeasurementError("the running trainer is not the one compiled for this trial")
            reason, logits = _train_and_score(session, dataset, folds, setting, trial, report)
    images = tuple(image for _, scored in folds for image in scored) if not reason else ()
    return Evaluation(
        key=job.key,
        depth=trial.choice.depth,
        weights=trial.choice.weights,
        learning_rate=trial.learning_rate,
        seed=trial.seed,
        folds=setting.folds,
        epochs=setting.epochs,
        status="diverged" if reason else "done",
        reason=reason,
        images=images,
        labels=labels_of(dataset, images),
        logits=() if reason else logits,
        train_images=sum(len(train) for train, _ in folds) // len(folds),
        state_bytes=compiled.state_bytes,
        arena_bytes=compiled.arena_bytes,
        extra_memory_analytic=compiled.extra_memory_analytic,
        plan_digest=compiled.plan_digest,
        seconds=round(time.monotonic() - started, 3),
    )


def _train_and_score(
    session: Session,
    dataset: Dataset,
    folds: tuple[Fold, ...],
    setting: Setting,
    trial: Trial,
    report: Report,
) -> tuple[str, tuple[tuple[float, ...], ...]]:
    """Why it diverged, or "", and the logits of all held-out images in the order of the folds."""
    logits: list[tuple[float, ...]] = []
    for number, (train, scored) in enumerate(folds):
        report(number, len(folds))
        steps = plan_training(setting.course(trial.learning_rate), train, trial.seed)
        session.reset(trial.seed)
        try:
            train_steps(session, dataset.images, dataset.labels, steps)
            logits += [reply.logits for reply in predict_images(session, dataset.images, scored)]
        except TrainingDivergedError as error:
            return f"fold {number + 1} of {len(folds)}: {error}", ()
    return "", tuple(logits)


@functools.cache
def _own_slots() -> Path:
    """A folder that is removed when this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="trainbench-search-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.lru_cache(maxsize=1)
def _inputs(setting: Setting) -> tuple[Backbone, Dataset]:
    backbone = load_backbone(setting.backbone)
    dataset = load_dataset(setting.dataset, setting.image_size)
    for what, found, wanted in (
        (setting.backbone, backbone.digest, setting.model_digest),
        (setting.dataset, dataset.digest, setting.dataset_digest),
    ):
        if found != wanted:
            raise DifferentInputsError(
                f"{what} is not what the search was started with:"
                f" SHA-256 {found[:16]}… instead of {wanted[:16]}…"
            )
    return backbone, dataset
