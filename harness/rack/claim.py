"""A board of a target for as long as one needs it: free, not in quarantine, and ours alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.deadline import Deadline
from harness.errors import RackError
from harness.rack.file import Board, Rack
from harness.rack.lock import BoardHeld, BoardLock
from harness.rack.quarantine import Quarantine

_POLL_SECONDS = 0.1


@contextmanager
def claim_board(
    rack: Rack, target: str, deadline: Deadline, tags: tuple[str, ...] = (), name: str | None = None
) -> Iterator[Board]:
    """The first free board of `target` with all of `tags`, or the one of that name, locked in the block.

    Waits until `deadline` while all are held. RackError: there is none, or all are in quarantine; BoardHeld:
    none came free, and who has them.
    """
    boards = rack.boards_of(target, tags) if name is None else (_named(rack, name, target),)
    if not boards:
        tagged = f" with the tags {', '.join(tags)}" if tags else ""
        raise RackError(f"the rack file has no board of target {target}{tagged}")
    lock, board = _wait(rack, boards, deadline)
    with lock:
        yield board


def _named(rack: Rack, name: str, target: str) -> Board:
    board = rack.board(name)
    if board.target != target:
        raise RackError(f"board {name} is of target {board.target}, not {target}")
    return board


def _wait(rack: Rack, boards: Sequence[Board], deadline: Deadline) -> tuple[BoardLock, Board]:
    quarantine = Quarantine(rack.folder)
    while True:
        barred = quarantine.entries()
        usable = [board for board in boards if board.name not in barred]
        if not usable:
            reasons = "; ".join(f"{board.name}: {barred[board.name]}" for board in boards)
            raise RackError(f"every board of target {boards[0].target} is in quarantine: {reasons}")
        for board in usable:
            lock = BoardLock(rack.folder, board.name)
            if lock.try_acquire():
                return lock, board
        if deadline.expired:
            holders = "; ".join(
                f"{board.name} by {BoardLock(rack.folder, board.name).holder() or 'somebody'}"
                for board in usable
            )
            raise BoardHeld(
                f"no board of target {boards[0].target} came free in {deadline.seconds:g} s; held: {holders}"
            )
        time.sleep(min(_POLL_SECONDS, deadline.remaining()))
