"""Power cycling a board through a command of the rack file: uhubctl, labgrid-client power, a relay's tool."""

from __future__ import annotations

from harness.deadline import Deadline
from harness.devices.process import ChildProcess
from harness.errors import RackError
from harness.rack.file import Board


def power_cycle(board: Board, deadline: Deadline) -> None:
    """Run the board's power command; RackError where there is none, it fails, or it takes too long."""
    if not board.power:
        raise RackError(f"board {board.name} has no power command; the rack file may name one as `power`")
    argv = power_command(board)
    process = ChildProcess(argv)
    try:
        code = process.wait(deadline.remaining())
        said = process.output()
    finally:
        process.end()
    if code is None:
        raise RackError(
            f"{argv[0]}, which power-cycles board {board.name}, did not end in {deadline.seconds:g} s"
        )
    if code != 0:
        last = f": {said.splitlines()[-1]}" if said else ""
        raise RackError(
            f"{argv[0]}, which power-cycles board {board.name}, ended with exit code {code}{last}"
        )


def power_command(board: Board) -> tuple[str, ...]:
    """The command with `{board}` and `{probe}` replaced; other braces are left alone."""
    return tuple(word.replace("{board}", board.name).replace("{probe}", board.probe) for word in board.power)
