"""What is tried again: measurements that the way to the device broke, and nothing else.

A fault, a wrong digest or a hang of the firmware is a result; to run it again until it passes would hide it.
Every attempt that is repeated is recorded in the run document, and the result counts as unstable.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from harness.errors import INFRASTRUCTURE, TransportError
from harness.results.document import Attempt
from harness.run.workers import JobDied

RETRIED = (TransportError, JobDied)


@dataclass(frozen=True)
class Retry:
    """How often a measurement may be repeated; 0: never."""

    times: int = 0

    def allows(self, error: Exception, before: tuple[Attempt, ...]) -> bool:
        """Whether to try again after `error`, and after the attempts `before` it."""
        return isinstance(error, RETRIED) and len(before) < self.times


def attempt(error: Exception) -> Attempt:
    """The record of an attempt that `error` ended just now."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Attempt(at=at, error=str(error), recovery=recovery(error))


def recovery(error: Exception) -> str:
    """What was done to the board after `error`: its notes (`harness.rack.recovery`)."""
    return "; ".join(getattr(error, "__notes__", ()))


def at_fault(error: Exception) -> Literal["trainer", "infrastructure"]:
    """Whether `error` says something of the trainer, or only of the way to the device."""
    return "infrastructure" if isinstance(error, (*INFRASTRUCTURE, JobDied)) else "trainer"
