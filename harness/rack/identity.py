"""Whether the board on the other end is the one the rack file names."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import RackError
from harness.rack.file import Board


@dataclass(frozen=True)
class Identity:
    """What was read from a board. None: that was not read."""

    probe: str
    """USB serial number of the probe that answered."""
    idcode: int | None = None
    """DBGMCU_IDCODE or what the part has in its place: device and revision."""
    uid: str | None = None
    """The chip's unique ID, hexadecimal, in the order of its bytes in memory."""


def check_identity(board: Board, found: Identity, source: str = "the rack file") -> None:
    """RackError in one sentence where `found` is another board than `board`, or lacks what would tell.

    `source`: where it is written what `board` is.
    """
    if found.probe.lower() != board.probe.lower():
        _refuse(board, "its probe has the serial number", board.probe, found.probe, source)
    if board.idcode is not None:
        if found.idcode is None:
            _unknown(board, "identification code", source)
        elif found.idcode != board.idcode:
            _refuse(
                board, "its identification code is", f"{board.idcode:#010x}", f"{found.idcode:#010x}", source
            )
    if board.uid is not None:
        if found.uid is None:
            _unknown(board, "unique ID", source)
        elif found.uid.lower() != board.uid:
            _refuse(board, "its chip has the unique ID", board.uid, found.uid.lower(), source)


def _refuse(board: Board, what: str, expected: str, found: str, source: str) -> None:
    raise RackError(
        f"this is not board {board.name}: {what} {found} where {source} has {expected};"
        f" boards were swapped, or {source} is out of date"
    )


def _unknown(board: Board, what: str, source: str) -> None:
    raise RackError(
        f"board {board.name} cannot be told from another: {source} gives its {what},"
        f" but none was read from the board"
    )
