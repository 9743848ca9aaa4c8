"""One process at a time on a board.

The lock is the kernel's (`flock` on a file of the state folder), so it ends with its owner, however that
ends, and there is nothing stale to clean up. A file system that cannot lock is an error: nobody gets the
board.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import ValidationError

from harness.deadline import Deadline
from harness.errors import RackError
from harness.rack.flock import try_lock
from harness.rack.holder import Holder, this_process
from harness.results.store import write_atomically

FOLDER = "locks"
_POLL_SECONDS = 0.05


class BoardHeld(RackError):  # noqa: N818 - a fact about the board
    """Somebody else has the board."""


class BoardLock:
    """Use it in a `with` block, or call `release`. Not shared with child processes that execute a program."""

    def __init__(self, folder: Path, board: str) -> None:
        """`folder`: the state folder."""
        self.board = board
        self._path = folder / FOLDER / f"{board}.lock"
        self._record = folder / FOLDER / f"{board}.json"
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self, deadline: Deadline) -> Self:
        """Wait for the board until `deadline`; BoardHeld then says who has it, RackError why it cannot be."""
        while not self.try_acquire():
            if deadline.expired:
                holder = self.holder()
                who = "somebody who left no name" if holder is None else str(holder)
                raise BoardHeld(f"board {self.board} is held by {who}; waited {deadline.seconds:g} s for it")
            time.sleep(min(_POLL_SECONDS, deadline.remaining()))
        return self

    def try_acquire(self) -> bool:
        """Take the lock if it is free; RackError where nothing can be locked."""
        if self._descriptor is not None:
            raise RackError(f"board {self.board} is held by this process already")
        try:
            descriptor = try_lock(self._path)
        except OSError as error:
            raise self._unlockable(error) from error
        if descriptor is None:
            return False
        self._descriptor = descriptor
        try:
            write_atomically(self._record, this_process().model_dump_json() + "\n")
        except OSError as error:
            self.release()
            raise self._unlockable(error) from error
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        """Give the board back; nothing happens when it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._record.unlink(missing_ok=True)
            os.close(descriptor)

    def holder(self) -> Holder | None:
        """Who left a record; None where there is none. The record of an owner who was killed stays."""
        try:
            return Holder.model_validate_json(self._record.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError):
            return None

    def in_use(self) -> bool:
        """Whether somebody has the board at this moment. Takes the lock for an instant."""
        if self.held:
            return True
        try:
            descriptor = try_lock(self._path)
        except OSError as error:
            raise self._unlockable(error) from error
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _unlockable(self, error: OSError) -> RackError:
        return RackError(
            f"board {self.board} cannot be locked with {self._path} ({error.strerror}), so it is not used;"
            " the state folder has to be writable and on a file system with locks"
        )
