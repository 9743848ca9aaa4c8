"""One deadline object, handed down through build, load, run and cleanup."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.errors import DeviceHang


@dataclass(frozen=True)
class Deadline:
    """A point in monotonic time by which a job has to end.

    `seconds` is kept for messages; `at` is on the `time.monotonic()` clock.
    """

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds, seconds)

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    @property
    def expired(self) -> bool:
        return self.remaining() == 0.0

    def within(self, seconds: float) -> Deadline:
        """The earlier of this deadline and `seconds` from now."""
        other = Deadline.after(seconds)
        return other if other.at < self.at else self

    def check(self, doing: str) -> None:
        """Raise DeviceHang when the time is up; `doing` completes 'timed out after N s while …'."""
        if self.expired:
            raise DeviceHang(f"timed out after {self.seconds:g} s while {doing}")
