"""Builds the benchmark, runs it on a target, and reads what each case took."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bench.cases import Case
from harness.bench.generate import write_bench
from harness.deadline import Deadline
from harness.devices.elf import symbol_address
from harness.devices.factory import open_device
from harness.errors import MeasurementError, UsageError
from harness.firmware.build import build_firmware
from harness.measure.profile import PROFILE_DEFINES, PROFILE_SYMBOL, read_counts
from harness.run.session import Session
from harness.run.workers import Report
from harness.targets import Target, TickUnit

LOAD_SECONDS = 60.0
RESULT_SYMBOL = "bench_result"
RESULT = struct.Struct("<5I")
"""bench_result_t of firmware/bench.c: label, status, bytes compared, bytes that differ, first of those."""
STATUS_DONE, STATUS_TOO_LARGE, STATUS_SCRATCH_OVERRUN = 1, 2, 3
KERNEL_COUNT, REFERENCE_COUNT, COUNTS = 0, 1, 3
"""Indices into the profile, and how many of it are used."""


@dataclass(frozen=True)
class Measured:
    """Instructions of one call, of the firmware's kernel and of the reference."""

    case: Case
    instructions: float
    reference_instructions: float

    @property
    def per_mac(self) -> float:
        return self.instructions / self.case.macs

    @property
    def reference_per_mac(self) -> float:
        return self.reference_instructions / self.case.macs

    @property
    def ratio(self) -> float:
        """How many times as many instructions the reference takes."""
        return self.reference_instructions / self.instructions


def check_target(target: Target) -> None:
    """Raise UsageError where a benchmark would say nothing."""
    if target.tick_unit is not TickUnit.INSTRUCTIONS:
        raise UsageError(
            f"bench counts the instructions of kernels made for microcontrollers, but {target.name} counts"
            f" {target.tick_unit}; take a target that counts instructions, such as qemu-mps2-an500"
        )


def run_bench(
    target: Target, cases: Sequence[Case], folder: Path, step_seconds: float, report: Report
) -> list[Measured]:
    """Measure `cases` in order. `report(done, total)` hears of each. Folder: a new or an empty one.

    Raises MeasurementError where a kernel and its reference differ in any byte they may write, or where one
    needs more scratch than the compiler plans; HarnessError's other kinds where it cannot be built or run.
    """
    check_target(target)
    write_bench(folder / "source", cases)
    firmware = build_firmware(folder / "source", target, folder / "build", defines=PROFILE_DEFINES)
    counts_at = symbol_address(firmware.elf, PROFILE_SYMBOL)
    result_at = symbol_address(firmware.elf, RESULT_SYMBOL)
    measured: list[Measured] = []
    report(0, len(cases))
    loading = Deadline.after(LOAD_SECONDS)
    with open_device(target, loading) as device:
        device.load(firmware.elf, loading)
        session = Session(device, step_seconds=step_seconds)
        info = session.start()
        for label, case in enumerate(cases):
            session.train(bytes(info.input_bytes), label)
            check_result(case, label, device.memory.read(result_at, RESULT.size))
            counts = read_counts(device.memory, counts_at, COUNTS)
            measured.append(_measured(case, counts, info.ticks_per_count))
            report(label + 1, len(cases))
    return measured


def check_result(case: Case, label: int, raw: bytes) -> None:
    """Raise MeasurementError unless the device ran this case and both paths gave the same bits."""
    where = f"{case.name} {case.shape}"
    found, status, compared, different, first = RESULT.unpack(raw)
    if found != label or status not in (STATUS_DONE, STATUS_TOO_LARGE, STATUS_SCRATCH_OVERRUN):
        raise MeasurementError(f"{where}: the device says it ran case {found} with status {status}")
    if status == STATUS_TOO_LARGE:
        raise MeasurementError(f"{where}: the shape needs more memory than the benchmark has")
    if status == STATUS_SCRATCH_OVERRUN:
        raise MeasurementError(
            f"{where}: the kernel wrote behind the {case.scratch} bytes of scratch planned"
        )
    if different or not compared:
        raise MeasurementError(
            f"{where}: {different} of {compared} bytes differ between the kernel and the reference, the first"
            f" at {first}; no figure is printed"
        )


def _measured(case: Case, counts: Sequence[int], ticks_per_count: int) -> Measured:
    kernel, reference = (
        counts[index] * ticks_per_count / case.repeats for index in (KERNEL_COUNT, REFERENCE_COUNT)
    )
    if kernel <= 0 or reference <= 0:
        raise MeasurementError(f"{case.name} {case.shape}: the clock did not move while it ran")
    return Measured(case, kernel, reference)
