"""Jobs in processes of their own, a few at a time.

One process a job: a crash loses one job, ending a job is a signal, and pyOCD's global state is never shared.
The processes come from multiprocessing's fork server, so that the heavy imports happen once. Whatever happens
to this process, the jobs end: each watches it, and their emulators end with them.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from typing import Generic, Protocol, TypeVar

from harness.disk import refusal
from harness.ending import raise_on

T = TypeVar("T")

Report = Callable[[int, int], None]
"""Called by a job as `report(done, total)`; not every call is heard."""

PRELOADED = ("harness.run.preloaded", "harness.cli")
"""What the jobs import, once for all of them: what they do, and the main module of who started them."""
_GATE_SECONDS = 0.5
"""How often a gate is asked again: other runs may have left."""
_REPORT_SECONDS = 0.1
"""How often a job tells its progress, but for the end: each time costs two processes a millisecond."""
_GRACE_SECONDS = 5.0
"""How long an ended job may take to close its device before it is killed."""


class JobCrashed(Exception):  # noqa: N818 - what happened, not an error class of the user's
    """A job ended in a way nobody foresaw: an unexpected exception, or a process that died."""


class JobDied(JobCrashed):
    """The process of a job ended without a word: killed by somebody, or by the kernel for its memory."""


@dataclass(frozen=True)
class Job(Generic[T]):
    """`call(report)` runs in another process; it and its result are pickled."""

    title: str
    call: Callable[[Report], T]
    lane: str = ""
    """What it occupies: a target at a farm; a `Gate` decides by it."""


class Gate(Protocol):
    """Decides which job may start. It may be shared by runs in several threads."""

    def admit(self, waiting: Sequence[str]) -> int | None:
        """The position of the job to start among the lanes of `waiting`; its slot is taken then."""

    def leave(self, lane: str) -> None:
        """A job of `lane` has ended."""


class Limit:
    """So many jobs at a time, in order."""

    def __init__(self, jobs: int) -> None:
        self._free = jobs

    def admit(self, waiting: Sequence[str]) -> int | None:
        if not waiting or self._free == 0:
            return None
        self._free -= 1
        return 0

    def leave(self, lane: str) -> None:
        self._free += 1


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of a job: `value`, or the error it raised. An unforeseen one is a JobCrashed."""

    job: Job[T]
    value: T | None = None
    error: Exception | None = None

    def unwrap(self) -> T:
        if self.error is not None:
            raise self.error
        assert self.value is not None
        return self.value


@dataclass(frozen=True)
class _Running(Generic[T]):
    job: Job[T]
    process: ForkServerProcess
    connection: Connection


def run_jobs(
    jobs: Sequence[Job[T]],
    expected: tuple[type[Exception], ...],
    *,
    limit: int = 1,
    gate: Gate | None = None,
    on_start: Callable[[Job[T]], None] = lambda job: None,
    on_progress: Callable[[Job[T], int, int], None] = lambda job, done, total: None,
) -> Iterator[Outcome[T]]:
    """Run `jobs` as `gate` lets them, by default in order and `limit` at a time; yield outcomes as they come.

    `expected`: errors of these classes come back as they are. Closing the iterator early ends all jobs, so
    wrap it in `contextlib.closing`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    gate = gate or Limit(limit)
    waiting = list(jobs)
    running: list[_Running[T]] = []
    try:
        while waiting or running:
            while (position := gate.admit([job.lane for job in waiting])) is not None:
                job = waiting.pop(position)
                on_start(job)
                started = _start(job, expected, context)
                if started is None:
                    gate.leave(job.lane)
                    died = JobDied(f"{job.title}: the process that starts jobs died")
                    yield Outcome(job, error=died)
                else:
                    running.append(started)
            ready = wait([entry.connection for entry in running], _GATE_SECONDS)
            for entry in [entry for entry in running if entry.connection in ready]:
                message = _receive(entry)
                match message:
                    case ("progress", int() as done, int() as total):
                        on_progress(entry.job, done, total)
                    case _:
                        running.remove(entry)
                        gate.leave(entry.job.lane)
                        _end(entry)
                        yield _outcome(entry, message)
    finally:
        for entry in running:
            entry.process.terminate()
        for entry in running:
            gate.leave(entry.job.lane)
            _end(entry)


def _start(
    job: Job[T], expected: tuple[type[Exception], ...], context: multiprocessing.context.ForkServerContext
) -> _Running[T] | None:
    """None: the fork server was killed meanwhile; the next job gets another."""
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(job.call, expected, theirs), name=job.title, daemon=True)
    try:
        process.start()
    except (EOFError, ConnectionError):
        ours.close()
        return None
    finally:
        theirs.close()
    return _Running(job, process, ours)


def _receive(entry: _Running[T]) -> tuple[object, ...]:
    try:
        message = entry.connection.recv()
    except (EOFError, OSError):
        return ("died",)
    return message if isinstance(message, tuple) else ("died",)


def _end(entry: _Running[T]) -> None:
    entry.process.join(_GRACE_SECONDS)
    if entry.process.is_alive():
        entry.process.kill()
        entry.process.join()
    entry.connection.close()


def _outcome(entry: _Running[T], message: tuple[object, ...]) -> Outcome[T]:
    match message:
        case ("value", value):
            return Outcome(entry.job, value=value)  # type: ignore[arg-type]
        case ("expected", Exception() as error):
            return Outcome(entry.job, error=error)
        case ("unexpected", str() as text):
            return Outcome(entry.job, error=JobCrashed(f"{entry.job.title}: {text}"))
        case _:
            code = entry.process.exitcode
            return Outcome(
                entry.job,
                error=JobDied(f"{entry.job.title}: the process of this job died with exit code {code}"),
            )


def _work(call: Callable[[Report], T], expected: tuple[type[Exception], ...], connection: Connection) -> None:
    """Body of a job's process: a session of its own, so that Ctrl-C reaches the parent alone; it ends us."""
    os.setsid()
    raise_on((signal.SIGTERM,), lambda number: SystemExit(128 + number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def send(*message: object) -> None:
        try:
            connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            sys.exit(128 + signal.SIGTERM)  # the run has ended, before it knew of us

    shown = -math.inf

    def report(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if done == total or now - shown >= _REPORT_SECONDS:
            shown = now
            send("progress", done, total)

    try:
        send("value", call(report))
    except expected as error:
        send("expected", error)
    except OSError as error:
        known = refusal(error)
        send(*(("unexpected", traceback.format_exc()) if known is None else ("expected", known)))
    except Exception:  # noqa: BLE001 - sent to the parent, which raises it
        send("unexpected", traceback.format_exc())
    connection.close()


def _end_with_parent() -> None:
    """Wait for the parent's end, however it comes, then unwind this process, or kill it in the end.

    The parent-death signal of Linux would not do: our parent is the fork server, which waits for us.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
