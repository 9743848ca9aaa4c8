"""How much longer a cell takes than the emulator needs for what the firmware executes in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from harness.bench.clocked_cell import Clocked, clocked_cell, empty_round_trips
from harness.errors import MeasurementError, UsageError
from harness.results.store import save_document
from harness.run.cell import Task
from harness.run.execute import CellJob, Prepared, prepare_method
from harness.run.runner import EXPECTED, Request
from harness.run.workers import Job, Report, T, run_jobs
from harness.targets import load_target


@dataclass(frozen=True)
class Processor:
    """Seconds of processor time, which a busy computer does not stretch."""

    executing: float
    """Of the emulator, from requests to replies of steps and predictions."""
    emulator: float
    """Of the emulator besides: starting, what the debugger asks of it, and waiting for requests."""
    harness: float
    """Of the job's process, of the one that started it, and of what the kernel does for them."""

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
    """From starting the job's process to its run document on disk."""
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

    The cell is a job in a process of its own and ends with a stored run document, as in `trainbench run`.
    Building, the imports that all jobs of a run share, and the profiling build are not part of it.
    """
    if len(request.methods) != 1:
        raise UsageError("bench overhead takes one method")
    if load_target(target).driver not in ("qemu", "renode"):
        raise UsageError(f"{target} is no emulator: what the harness adds to one cannot be told of it")
    job = _cell_job(request, target, folder)
    _run(Job("imports", partial(_nothing)), lambda done, total: None)
    began, used = time.monotonic(), time.process_time()
    clocked = _run(Job("cell", partial(clocked_cell, job)), report)
    save_document(folder, clocked.document)
    seconds, used = time.monotonic() - began, time.process_time() - used
    empty = _run(Job("link", partial(empty_round_trips, job)), lambda done, total: None)
    return summarize(job, clocked, seconds, used, empty)


def summarize(job: CellJob, clocked: Clocked, seconds: float, used: float, empty: list[float]) -> Overhead:
    """The figures of a cell that took `seconds`; MeasurementError where replies were not seen.

    `used`: processor seconds of the process that started the job. `empty`: round trips of empty requests.
    """
    waits, calls = clocked.waits, job.task.steps + job.task.predictions
    if len(waits) != calls or not empty:
        raise MeasurementError(f"{len(waits)} replies to steps and predictions were timed, {calls} came")
    link = median(empty)
    executing = sum(waits) - calls * link
    if executing <= 0 or clocked.worked <= 0:
        raise MeasurementError(
            f"a step takes {median(waits):.6f} s and an empty request {link:.6f} s: what the emulator"
            " executes cannot be told from the link"
        )
    series = (clocked.document.step_ticks, clocked.document.predict_ticks)
    return Overhead(
        target=job.target,
        method=job.method.name,
        steps=job.task.steps,
        predictions=job.task.predictions,
        ticks=sum(sum(each.values) for each in series if each is not None),
        cell_seconds=seconds,
        executing_seconds=executing,
        link_seconds=link,
        spent=clocked.spent,
        processor=Processor(clocked.worked, clocked.emulator - clocked.worked, clocked.job + used),
    )


def _nothing(report: Report) -> int:
    return os.getpid()


def _run(job: Job[T], report: Callable[[int, int], None]) -> T:
    outcomes = run_jobs([job], EXPECTED, on_progress=lambda job, done, total: report(done, total))
    with closing(outcomes):  # type: ignore[type-var]
        (outcome,) = outcomes
    return outcome.unwrap()


def _cell_job(request: Request, target: str, folder: Path) -> CellJob:
    (method,) = request.methods
    suite = request.suite
    prepared = _prepared(request, target, folder)
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
    return CellJob(
        inputs=request.inputs,
        method=method,
        target=target,
        split=request.split,
        trainer=prepared.trainer,
        firmware=prepared.firmware[target],
        profiled=None,
        task=task,
        step_seconds=request.step_seconds,
        inputs_digest="",
        fewest_ticks=1,
    )


def _prepared(request: Request, target: str, folder: Path) -> Prepared:
    (method,) = request.methods
    suite = request.suite
    prepared = prepare_method(
        request.inputs,
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
    return prepared
