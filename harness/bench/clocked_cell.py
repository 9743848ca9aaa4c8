"""A cell with a clock in it: what the overhead benchmark does in a job's process.

Apart from the benchmark, because whatever a job has to import counts as overhead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.bench.clocked import Clock, ClockedDevice
from harness.deadline import Deadline
from harness.devices.base import Device
from harness.devices.emulated import EmulatedDevice
from harness.devices.factory import open_device
from harness.errors import UsageError
from harness.farm.hold import Held
from harness.link.messages import PredictRequest, StateSpanRequest, TrainRequest
from harness.results.document import RunDocument
from harness.run.execute import LOAD_SECONDS, CellJob, Opener, load_samples, run_on_samples
from harness.run.session import Session
from harness.run.workers import Report
from harness.targets import Target, load_target

EMPTY_REQUESTS = 100
"""Round trips by which the link's own cost is known."""


@dataclass(frozen=True)
class Clocked:
    """What the clock of a job's process saw. Seconds."""

    document: RunDocument
    spent: dict[str, float]
    waits: tuple[float, ...]
    """Of every step and prediction, from the request to the first byte of its reply."""
    worked: float
    """Of them all, the emulator's processor time."""
    emulator: float
    """All processor time that the emulator used."""
    job: float
    """Processor time of the job's process."""


def clocked_cell(job: CellJob, report: Report) -> Clocked:
    """What `harness.run.execute.run_cell` does, timed."""
    clock = Clock()
    with clock.timed("dataset is loaded"):
        samples = load_samples(job.inputs, job.split, job.fold)
    document = run_on_samples(job, samples, report, clocked_opener(clock))
    return Clocked(
        document=document,
        spent=dict(clock.spent),
        waits=(*clock.waits[TrainRequest.kind], *clock.waits[PredictRequest.kind]),
        worked=sum(clock.worked[TrainRequest.kind]) + sum(clock.worked[PredictRequest.kind]),
        emulator=clock.emulator,
        job=time.process_time(),
    )


def clocked_opener(clock: Clock) -> Opener:
    """`open_device` with a clock around the device."""

    def opened(target: Target, deadline: Deadline, place: Held | None, board: str | None) -> Device:
        with clock.timed("device is opened"):
            device = open_device(target, deadline, place, board)
        if not isinstance(device, EmulatedDevice):
            device.close()
            raise UsageError(f"{target.name} is no emulator")
        return ClockedDevice(device, clock)

    return opened


def empty_round_trips(job: CellJob, report: Report) -> list[float]:
    """Seconds of requests that ask for next to nothing, of the same firmware."""
    clock, loading = Clock(), Deadline.after(LOAD_SECONDS)
    with clocked_opener(clock)(load_target(job.target), loading, None, None) as device:
        device.load(job.firmware.elf, loading)
        session = Session(device, step_seconds=job.step_seconds)
        session.start()
        for _ in range(EMPTY_REQUESTS):
            session.round_trip()
    return clock.waits[StateSpanRequest.kind][-EMPTY_REQUESTS:]
