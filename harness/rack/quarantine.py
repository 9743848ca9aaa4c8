"""Boards that are not to be used for a while: which, why, since when and until when.

One JSON file in the state folder. A list that cannot be read is an error: a board that somebody took out of
use must not come back because a file is broken.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from harness.deadline import Deadline
from harness.declaration import Strict
from harness.errors import RackError, UsageError
from harness.rack.flock import lock
from harness.rack.holder import this_process
from harness.results.store import write_atomically

FILE = "quarantine.json"
_LOCK_SECONDS = 10.0


class Entry(Strict):
    board: str
    reason: str
    by: str
    since: AwareDatetime
    until: AwareDatetime | None = None
    """None: until somebody releases it."""

    def holds(self, now: datetime) -> bool:
        return self.until is None or now < self.until

    def __str__(self) -> str:
        until = "until it is released" if self.until is None else f"until {self.until:%Y-%m-%d %H:%M %Z}"
        return f"{self.reason} (by {self.by} since {self.since:%Y-%m-%d %H:%M %Z}, {until})"


class _File(Strict):
    boards: tuple[Entry, ...] = ()


class Quarantine:
    """The list in `folder`, the state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE

    def entries(self, now: datetime | None = None) -> dict[str, Entry]:
        """Boards in quarantine now, by name. Entries whose time is over are left out."""
        moment = now or datetime.now(UTC)
        return {entry.board: entry for entry in self._read().boards if entry.holds(moment)}

    def check(self, board: str) -> None:
        """RackError where `board` is in quarantine."""
        entry = self.entries().get(board)
        if entry is not None:
            raise RackError(
                f"board {board} is in quarantine: {entry}; `trainbench rack release {board}` ends that"
            )

    def add(self, board: str, reason: str, duration: timedelta | None = None) -> Entry:
        """Put `board` on the list, in place of an earlier entry of it."""
        if not reason.strip():
            raise UsageError(f"say why board {board} goes into quarantine")
        now, who = datetime.now(UTC), this_process()
        entry = Entry(
            board=board,
            reason=reason.strip(),
            by=f"{who.user} on {who.host}",
            since=now,
            until=None if duration is None else now + duration,
        )
        with self._changing() as boards:
            boards[board] = entry
        return entry

    def release(self, board: str) -> None:
        """Take `board` off the list; UsageError where it is not on it."""
        with self._changing() as boards:
            if boards.pop(board, None) is None:
                raise UsageError(f"board {board} is not in quarantine")

    def _read(self) -> _File:
        try:
            return _File.model_validate_json(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return _File()
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            raise RackError(
                f"the quarantine list {self._path} cannot be read, so no board is used: {error}"
            ) from error

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Entry]]:
        """What is on the list, to be changed; written back in the end. One at a time."""
        try:
            descriptor = lock(self._folder / f"{FILE}.lock", Deadline.after(_LOCK_SECONDS))
        except OSError as error:
            raise RackError(f"{self._folder} cannot be locked: {error.strerror}") from error
        if descriptor is None:
            raise RackError(f"somebody else has been changing {self._path} for {_LOCK_SECONDS:g} s")
        try:
            boards = self.entries()
            yield boards
            entries = tuple(boards[name] for name in sorted(boards))
            write_atomically(self._path, _File(boards=entries).model_dump_json(indent=1) + "\n")
        finally:
            os.close(descriptor)
