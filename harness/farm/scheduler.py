"""Which job starts next: pure, so that it can be tested with every order of jobs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Slots:
    """How many jobs may run at a time: on this machine, and at a farm by lane (target)."""

    local: int
    places: Mapping[str, int] = field(default_factory=dict)

    def of(self, lane: str) -> int:
        """Of the slot that jobs of `lane` share."""
        return self.places.get(lane, self.local)

    def slot(self, lane: str) -> str:
        """Lanes of this machine share one slot, named by the empty string."""
        return lane if lane in self.places else ""


def next_job(waiting: Sequence[str], running: Sequence[str], slots: Slots) -> int | None:
    """The position in `waiting` of the job to start, all given by lane; None: all that may run do.

    The first whose slot has room. So no place idles while a job waits for it, and jobs of a lane keep their
    order.
    """
    taken = Counter(slots.slot(lane) for lane in running)
    for position, lane in enumerate(waiting):
        if taken[slots.slot(lane)] < slots.of(lane):
            return position
    return None


class Stopped(Exception):  # noqa: N818 - what happened
    """The jobs are to end."""


class SharedGate:
    """A `harness.run.workers.Gate` for several runs in threads of one process."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._running: list[str] = []
        self._lock = threading.Lock()
        self._stopped = False

    def admit(self, waiting: Sequence[str]) -> int | None:
        """Take a slot for one of `waiting`; raises Stopped after `stop`."""
        with self._lock:
            if self._stopped:
                raise Stopped
            position = next_job(waiting, self._running, self._slots)
            if position is not None:
                self._running.append(waiting[position])
            return position

    def leave(self, lane: str) -> None:
        with self._lock:
            self._running.remove(lane)

    def stop(self) -> None:
        """Make every run that asks for its next job end."""
        with self._lock:
            self._stopped = True
