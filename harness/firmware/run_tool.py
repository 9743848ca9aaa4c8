"""Runs a program to its end: output to a file, a deadline, and nothing left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.deadline import Deadline

_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl
_GRACE_SECONDS = 5.0


def run_tool(argv: Sequence[str], folder: Path, log: Path, deadline: Deadline) -> int:
    """Exit code of `argv`, run in `folder` with standard output and error in `log`.

    Raises DeviceHang when the deadline passes first. The program and what it started are ended in every case.
    """

    def end_with_parent() -> None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    with log.open("wb") as output:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
            preexec_fn=end_with_parent,
        )
        try:
            return process.wait(deadline.remaining())
        except subprocess.TimeoutExpired:
            deadline.check(f"{Path(argv[0]).name} runs in {folder}")
            raise
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM first: ninja gives its compilers process groups of their own, and ends them only when asked."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
