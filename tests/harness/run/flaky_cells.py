"""Cells that go wrong in a job's process; apart from their test, for each job imports all that is here."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from harness.errors import DeviceFault, DeviceGone
from harness.results.document import RunDocument
from harness.run.execute import CellJob, run_cell
from harness.run.workers import Report


def flaky(folder: Path, job: CellJob, report: Report) -> RunDocument:
    """Seed 0 is measured at the third attempt, seed 1 never, seed 2 has a fault, seed 3 is well."""
    seed = job.task.seed
    attempts = len(list(folder.glob(f"attempt-{seed}-*")))
    (folder / f"attempt-{seed}-{attempts}").touch()
    if seed == 0 and attempts == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 1 or (seed == 0 and attempts == 1):
        error = DeviceGone("the cable")
        error.add_note("the power of board b was cycled")
        raise error
    if seed == 2:
        raise DeviceFault("it divided by zero")
    return run_cell(job, report)
