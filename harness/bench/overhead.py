"""How much longer a cell takes than the emulator needs for what the firmware executes in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median

from harness.bench.clocked import Clock, ClockedDevice, processor_of
from harness.deadline import Deadline
from harness.devices.base import Device
from harness.devices.emulated import EmulatedDevice
from harness.devices.factory import open_device
from harness.errors import MeasurementError, UsageError
from harness.link.messages import PredictRequest, StateSpanRequest, TrainRequest
from harness.run.cell import Measurement, Task, measure_cell
from harness.run.execute import LOAD_SECONDS, Prepared, check_built, load_samples, plan_paint, prepare_method
from harness.run.runner import Request
from harness.run.session import Session
from harness.targets import load_target

EMPTY_REQUESTS = 100
"""Round trips by which the link's own cost is known."""


@dataclass(frozen=True)
class Processor:
    """Seconds of processor time, which a busy computer does not stretch."""

    executing: float
    """Of the emulator, from requests to replies of steps and predictions."""
    emulator: float
    """Of the emulator besides: starting, and what the debugger asks of it."""
    harness: float
    """Of this process and of what the kernel does for it."""

    @property
    def overhead(self) -> float:
        return (self.emulator + self.harness) / self.executing


@dataclass(frozen=True)
class Overhead:
    """Seconds on this computer's clock."""

    target: str
    method: str
    steps: int
    predictions: int
    ticks: int
    """Of all steps and predictions, in the target's unit."""
    cell_seconds: float
    """From opening the device to having closed it."""
    executing_seconds: float
    """From requests to the first byte of replies, over steps and predictions, less the link's cost."""
    link_seconds: float
    """Median round trip of a request that asks for next to nothing."""
    spent: Mapping[str, float]
    """By what else was done."""
    processor: Processor

    @property
    def overhead(self) -> float:
        """What the harness adds to the emulator's own run, as a share of that."""
        return (self.cell_seconds - self.executing_seconds) / self.executing_seconds


def measure_overhead(
    request: Request, target: str, folder: Path, report: Callable[[int, int], None]
) -> Overhead:
    """Build the request's one method for `target` and run the cell of its first seed, SRAM measured, timed.

    What a cell does is `measure_cell`'s, the same as in `trainbench run`. Building, the imports of Python and
    the run document are not part of it.
    """
    if len(request.methods) != 1:
        raise UsageError("bench overhead takes one method")
    (method,) = request.methods
    suite, inputs = request.suite, request.inputs
    prepared = prepare_method(
        inputs,
        method,
        method.rounding or suite.rounding,
        method.gradient or suite.gradient,
        (target,),
        None,
        False,
        folder,
        lambda done, total: None,
    )
    if target in prepared.refused:
        raise prepared.refused[target]
    task = Task(
        seed=request.seeds[0],
        course=suite.course(method),
        steps=suite.device_steps,
        digest_steps=tuple(sorted({min(suite.digest_steps, suite.device_steps), suite.device_steps})),
        predictions=suite.device_predictions,
        measure_sram=True,
        whole_course=False,
        curve_points=suite.curve_points,
        computed_on=target,
    )
    clock = Clock()
    measured, seconds, processor = _clocked_cell(request, target, prepared, task, clock, report)
    return summarize(target, method.name, task, measured, seconds, clock, processor)


def _clocked_cell(
    request: Request,
    name: str,
    prepared: Prepared,
    task: Task,
    clock: Clock,
    report: Callable[[int, int], None],
) -> tuple[Measurement, float, Processor]:
    target, firmware = load_target(name), prepared.firmware[name]
    samples = load_samples(request.inputs, request.split)
    loading = Deadline.after(LOAD_SECONDS)
    import_module("harness.devices.qemu")  # as a run's jobs have it: see workers.PRELOADED
    began, used = time.monotonic(), time.process_time()
    with clock.timed("device is opened"):
        opened = open_device(target, loading)
    with ClockedDevice(opened, clock) as device, processor_of(_pid(opened)) as clock.processor:
        check_built(firmware)
        device.load(firmware.elf, loading)
        session = Session(device, step_seconds=request.step_seconds)
        measured = measure_cell(device, session, samples, task, plan_paint(firmware, target), report)
        emulator = clock.processor()
        used = time.process_time() - used
        before = time.monotonic()
        for _ in range(EMPTY_REQUESTS):
            session.round_trip()
        extra = time.monotonic() - before
    seconds = time.monotonic() - began - extra
    executing = sum(clock.worked[TrainRequest.kind]) + sum(clock.worked[PredictRequest.kind])
    return measured, seconds, Processor(executing, emulator - executing, used)


def _pid(device: Device) -> int:
    if not isinstance(device, EmulatedDevice):
        raise UsageError(f"{device.name} is no emulator: what the harness adds to one cannot be told of it")
    return device.pid


def summarize(
    target: str,
    method: str,
    task: Task,
    measured: Measurement,
    seconds: float,
    clock: Clock,
    processor: Processor,
) -> Overhead:
    """The figures of a cell that took `seconds`; MeasurementError where replies were not seen."""
    worked = clock.waits[TrainRequest.kind] + clock.waits[PredictRequest.kind]
    empty = clock.waits[StateSpanRequest.kind][-EMPTY_REQUESTS:]
    if len(worked) != task.steps + task.predictions or not empty:
        raise MeasurementError(
            f"{len(worked)} replies to steps and predictions were timed, {task.steps + task.predictions} came"
        )
    link = median(empty)
    executing = sum(worked) - len(worked) * link
    if executing <= 0:
        raise MeasurementError(
            f"a step takes {median(worked):.6f} s and an empty request {link:.6f} s: what the emulator"
            " executes cannot be told from the link"
        )
    return Overhead(
        target=target,
        method=method,
        steps=task.steps,
        predictions=task.predictions,
        ticks=sum(measured.step_ticks) + sum(measured.predict_ticks),
        cell_seconds=seconds,
        executing_seconds=executing,
        link_seconds=link,
        spent=dict(clock.spent),
        processor=processor,
    )
