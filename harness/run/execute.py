"""The jobs of a run, each called in a process of its own: prepare a method, run a cell."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal

from fixtures.datasets import Dataset, load_dataset
from fixtures.datasets.dataset import shuffled
from harness.deadline import Deadline
from harness.devices.base import Device
from harness.devices.elf import symbol_address
from harness.devices.factory import open_device
from harness.errors import BuildError, HarnessError, LoadError, MeasurementError
from harness.farm.hold import Farm, Held, place_for
from harness.firmware.build import Firmware, build_firmware
from harness.measure import sram
from harness.measure.accuracy import plan_training, train_steps
from harness.measure.energy import STEPS
from harness.measure.latency import MINIMUM_SAMPLES
from harness.measure.profile import PROFILE_DEFINES, PROFILE_SYMBOL, operator_ticks, read_counts
from harness.measure.sram import Area, Span
from harness.provenance import package_versions
from harness.results.document import OperatorTicks, RunDocument
from harness.run.assemble import Inputs, Subject, make_document, make_provenance
from harness.run.cell import Measurement, Paint, Samples, Task, measure_cell, planned_calls
from harness.run.energy import Metered, cell_energy, meter_for
from harness.run.foreign import ForeignGuard, check_unchanged, to_gray
from harness.run.prepare import Trainer, compile_method, describe_foreign
from harness.run.session import CALL_SECONDS, Session
from harness.run.workers import Report
from harness.suite import Method
from harness.targets import Target, load_target
from harness.trainers.build import build_trainer

LOAD_SECONDS = 60.0
PROFILED_STEPS = 5

Split = Literal["final", "selection"]
"""final: train on the training and validation parts, test on the test part. selection: train on the training
part, test on the validation part; the test part is not looked at."""

Fold = tuple[int, int]
"""(K, N): for a selection, the K-th N-th of training and validation parts together is what validates."""


@dataclass(frozen=True)
class Prepared:
    """A compiled method and its firmware for each target, or the reason why there is none."""

    trainer: Trainer
    firmware: dict[str, Firmware]
    profiled: dict[str, Firmware]
    """The same with a clock reading at every operator; by target too."""
    refused: dict[str, HarnessError]


def prepare_method(
    inputs: Inputs,
    method: Method,
    rounding: str,
    gradient: str,
    targets: tuple[str, ...],
    sram_budget: int | None,
    profile: bool,
    folder: Path,
    report: Report,
) -> Prepared:
    """Compile `method` and build it for each of `targets`, in `folder`. Raises EngineError's kinds.

    `profile`: make the profiling builds too.
    """
    total = 1 + 2 * len(targets)
    report(0, total)
    foreign = inputs.foreign
    if foreign is None:
        trainer = compile_method(
            inputs.backbone,
            method,
            classes=len(inputs.class_names),
            rounding=rounding,
            gradient=gradient,
            folder=folder / "trainer",
        )
    else:
        check_unchanged(foreign)
        trainer = describe_foreign(foreign, method)
    firmware: dict[str, Firmware] = {}
    profiled: dict[str, Firmware] = {}
    refused: dict[str, HarnessError] = {}
    for number, name in enumerate(targets):
        target = load_target(name)
        budget = sram_budget if target.regions else None
        if foreign is None:
            build = partial(build_firmware, trainer.folder, target, sram_budget=budget)
        else:
            build = partial(build_trainer, foreign.declared, target, sram_budget=budget)
        try:
            if foreign is None:
                check_memory(trainer, target)
            report(1 + 2 * number, total)
            firmware[name] = build(folder / name)
            report(2 + 2 * number, total)
            if profile and foreign is None:
                profiled[name] = build(folder / f"{name}-profile", defines=PROFILE_DEFINES)
        except (BuildError, NoRoomError) as error:
            refused[name] = error
    return Prepared(trainer, firmware, profiled, refused)


class NoRoomError(HarnessError):
    """A method needs more SRAM than a target has anywhere: it is not run there, which is no failure."""


def check_memory(trainer: Trainer, target: Target) -> None:
    """Raise NoRoomError when arena or state alone is larger than any memory it could lie in."""
    sizes = [region.size for region in target.regions if region.kind == "ram"]
    if not sizes:
        return
    for what, needed, largest in (
        ("arena", trainer.arena_bytes, max(sizes)),
        ("state", trainer.state_bytes, sizes[0]),
    ):
        if needed > largest:
            raise NoRoomError(
                f"the {what} alone needs {needed} bytes,"
                f" {needed - largest} more than {target.name} has for it"
            )


@dataclass(frozen=True)
class CellJob:
    """Everything a cell needs; picklable."""

    inputs: Inputs
    method: Method
    target: str
    split: Split
    trainer: Trainer
    firmware: Firmware
    profiled: Firmware | None
    """None: ticks per operator are not wanted."""
    task: Task
    step_seconds: float
    inputs_digest: str
    fewest_ticks: int = MINIMUM_SAMPLES
    """A shorter series of ticks is not reported."""
    fold: Fold | None = None
    """Of a selection; None: the dataset's own validation part."""
    metered: Metered | None = None
    """None: energy is not measured."""
    farm: Farm | None = None
    """Where a place with such a board is; None: the target is run here."""
    recover: bool = False
    """Whether a board's power is cycled after a transport error, where there is a way."""


Opener = Callable[[Target, Deadline, Held | None, str | None], Device]
"""`open_device`, or what puts something around the device that it opens."""


def run_cell(job: CellJob, report: Report) -> RunDocument:
    """Measure the cell on its dataset. Raises HarnessError's kinds."""
    samples = load_samples(job.inputs, job.split, job.fold)
    return run_on_samples(job, samples, report, partial(open_device, recover=job.recover))


def run_on_samples(
    job: CellJob, samples: Samples, report: Report, opened: Opener = open_device
) -> RunDocument:
    """Open the device, load, measure, and make the run document. Raises HarnessError's kinds.

    Class names are the job's: a classifier may have more outputs than the samples have classes.
    """
    target = load_target(job.target)
    samples = replace(samples, class_names=job.inputs.class_names)
    paint = plan_paint(job.firmware, target) if job.task.measure_sram else None
    with place_for(job.farm, target.name) as place:
        started, clock = datetime.now(UTC), time.monotonic()
        calls = planned_calls(job.task, samples) + (0 if job.metered is None else STEPS)
        deadline = Deadline.after(LOAD_SECONDS + calls * job.step_seconds)
        loading = deadline.within(LOAD_SECONDS)
        with meter_for(job.metered) as meter, opened(target, loading, place, _board(job)) as device:
            check_built(job.firmware)
            device.load(job.firmware.elf, loading)
            session = Session(device, step_seconds=job.step_seconds, deadline=deadline)
            guard = _guard(job)
            measured = measure_cell(device, session, samples, job.task, paint, report, guard.on_start)
            trainer = guard.check(measured, session)
            if meter is not None and job.metered is not None:
                energy = cell_energy(meter, job.metered, device, session, samples, job.task)
                measured = replace(measured, energy=energy)
            measured = replace(measured, clock=device.clock(deadline.within(CALL_SECONDS)))
            versions = {**package_versions(), **device.versions}
        if job.profiled is not None:
            operators = profile_cell(job.profiled, job, target, samples, place)
            measured = replace(measured, operator_ticks=operators)
        if place is not None:
            place.check()
    provenance = make_provenance(
        job.inputs, started, time.monotonic() - clock, versions, job.firmware, job.trainer.plan_digest
    )
    subject = Subject(job.inputs, target, job.method, job.task.seed, trainer, job.firmware)
    return make_document(subject, measured, provenance, job.inputs_digest, job.fewest_ticks)


@functools.cache
def load_samples(inputs: Inputs, split: Split, fold: Fold | None = None) -> Samples:
    """The dataset of `inputs` with the split that is asked for. MeasurementError: it is another by now."""
    dataset = load_dataset(inputs.dataset, inputs.image_size)
    if dataset.digest != inputs.dataset_digest:
        raise MeasurementError(
            f"dataset {dataset.name} was changed during the run: its digest was {inputs.dataset_digest[:16]},"
            f" now it is {dataset.digest[:16]}; run again"
        )
    train, validation, test = (
        tuple(part.tolist()) for part in (dataset.train, dataset.validation, dataset.test)
    )
    if split == "final":
        train, test = (*train, *validation), test
    elif fold is None:
        test = validation
    else:
        train, test = validation_fold(dataset, *fold)
    images = dataset.images if inputs.channels == 3 else to_gray(dataset.images)
    return Samples(
        images=images, labels=dataset.labels, class_names=dataset.class_names, train=train, test=test
    )


def validation_fold(dataset: Dataset, number: int, count: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(the rest, fold `number` of `count`) of training and validation parts, by class; positions ascending.

    The test part is in neither. MeasurementError where a fold would be without one of the classes.
    """
    untested = {*dataset.train.tolist(), *dataset.validation.tolist()}
    order = [position for position in shuffled(dataset.ids) if position in untested]
    validated: list[int] = []
    for label, name in enumerate(dataset.class_names):
        members = [position for position in order if dataset.labels[position] == label]
        if len(members) < 2 * count:
            raise MeasurementError(
                f"dataset {dataset.name}: {len(members)} pictures of class {name!r} are not tested, too few"
                f" for {count} folds of two or more"
            )
        validated += members[number - 1 :: count]
    return tuple(sorted(untested - set(validated))), tuple(sorted(validated))


def profile_cell(
    firmware: Firmware, job: CellJob, target: Target, samples: Samples, place: Held | None = None
) -> tuple[OperatorTicks, ...]:
    """Median ticks of each operator over a few steps, from the profiling build."""
    plan = job.trainer.plan
    names = [] if plan is None else [operator.name for operator in plan.operators]
    address = symbol_address(firmware.elf, PROFILE_SYMBOL)
    steps = plan_training(job.task.course, samples.train, job.task.seed)[:PROFILED_STEPS]
    deadline = Deadline.after(LOAD_SECONDS + PROFILED_STEPS * job.step_seconds)
    loading = deadline.within(LOAD_SECONDS)
    with open_device(target, loading, place, _board(job), job.recover) as device:
        check_built(firmware)
        device.load(firmware.elf, loading)
        session = Session(device, step_seconds=job.step_seconds, deadline=deadline)
        info = session.start()
        session.reset(job.task.seed)
        series: list[tuple[OperatorTicks, ...]] = []
        for step in steps:
            train_steps(session, samples.images, samples.labels, [step])
            counts = read_counts(device.memory, address, len(names))
            series.append(operator_ticks(names, counts, info.ticks_per_count))
    return tuple(
        OperatorTicks(operator=name, ticks=int(median(run[index].ticks for run in series)))
        for index, name in enumerate(names)
    )


def check_built(firmware: Firmware) -> None:
    """Raise LoadError where the ELF file is no longer the one that was built: figures would be another's."""
    try:
        found = hashlib.sha256(firmware.elf.read_bytes()).hexdigest()
    except OSError as error:
        raise LoadError(f"firmware {firmware.elf} cannot be read: {error.strerror}; run again") from error
    if found != firmware.digest:
        raise LoadError(
            f"firmware {firmware.elf} was changed since it was built: its SHA-256 was"
            f" {firmware.digest[:16]}…, now it is {found[:16]}…; run again"
        )


def plan_paint(firmware: Firmware, target: Target) -> Paint | None:
    """What to paint: stack, arena, and every byte of RAM that nobody owns. None where no RAM is described."""
    layout = firmware.sram
    owned = [*layout.static, *layout.state, *layout.agent, *layout.arena, layout.stack]
    regions = [region for region in target.regions if region.kind == "ram"]
    if not regions:
        return None
    areas = [Area("the stack", layout.stack, "stack")]
    areas += [Area("the arena", span, "arena") for span in layout.arena]
    for region in regions:
        free = sram.free_spans(Span(region.start, region.size), owned)
        areas += [Area(f"free memory in {region.name}", span, "free") for span in free]
    return Paint(tuple(areas), firmware.symbols)


class CompiledGuard:
    """What runs has to be what was compiled."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def on_start(self, session: Session) -> None:
        """Nothing is touched before the measurement."""

    def check(self, measured: Measurement, session: Session) -> Trainer:
        """The trainer that was measured; MeasurementError where it is another."""
        info, trainer = session.info, self._trainer
        if (info.plan_digest, info.arena_bytes, info.state_bytes) != (
            trainer.plan_digest,
            trainer.arena_bytes,
            trainer.state_bytes,
        ):
            raise MeasurementError(
                f"the running trainer ({info.scheme}, plan {info.plan_digest[:12]}) is not the one compiled"
                f" ({trainer.scheme.method}, plan {trainer.plan_digest[:12]})"
            )
        return trainer


def _board(job: CellJob) -> str | None:
    """The rack's board that has to be used: the one with the meter."""
    return None if job.metered is None else job.metered.board


def _guard(job: CellJob) -> CompiledGuard | ForeignGuard:
    if job.inputs.foreign is None:
        return CompiledGuard(job.trainer)
    return ForeignGuard(job.inputs.foreign, job.trainer, job.firmware, job.task.seed)
