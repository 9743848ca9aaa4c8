"""`trainbench rack`: the boards of the rack file, who holds them, and which are out of order."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UsageError

rack = typer.Typer(
    help="The boards of the rack file (--rack, $TRAINBENCH_RACK, or rack.toml here).",
    no_args_is_help=True,
    rich_markup_mode=None,
)

RackOption = Annotated[Path | None, typer.Option("--rack", metavar="FILE", help="The rack file.")]
BoardArgument = Annotated[str, typer.Argument(help="Name of a board in the rack file.")]
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
POWER_SECONDS = 60.0


@rack.command("list")
def list_boards(rack_file: RackOption = None) -> None:
    """List all boards: target, tags, whether free, held (by whom) or in quarantine (why)."""
    from harness.console import plain_table, print_whole
    from harness.rack.file import find_rack
    from harness.rack.lock import BoardLock
    from harness.rack.quarantine import Quarantine

    found = find_rack(rack_file)
    if not found.boards:
        typer.echo("there are no boards; docs/farm.md says how to write a rack file")
        return
    barred = Quarantine(found.folder).entries()
    table = plain_table(("board", "target", "probe", "tags", "state"), ())
    for board in found.boards:
        lock = BoardLock(found.folder, board.name)
        states = [f"in quarantine: {barred[board.name]}"] if board.name in barred else []
        states += [f"held by {lock.holder() or 'somebody'}"] if lock.in_use() else []
        table.add_row(
            board.name, board.target, board.probe, " ".join(board.tags), "; ".join(states) or "free"
        )
    print_whole(table)


@rack.command("quarantine")
def quarantine(
    board: BoardArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who find it.")],
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="How long: 90m, 12h, 7d, 2w. Default: for good."),
    ] = None,
    rack_file: RackOption = None,
) -> None:
    """Take BOARD out of use. Whoever holds it now keeps it."""
    from harness.rack.file import find_rack
    from harness.rack.quarantine import Quarantine

    found = find_rack(rack_file)
    entry = Quarantine(found.folder).add(found.board(board).name, reason, parse_duration(duration))
    typer.echo(f"{board}: {entry}")


@rack.command("release")
def release(board: BoardArgument, rack_file: RackOption = None) -> None:
    """End the quarantine of BOARD."""
    from harness.rack.file import find_rack
    from harness.rack.quarantine import Quarantine

    Quarantine(find_rack(rack_file).folder).release(board)


@rack.command("power")
def power(
    board: BoardArgument,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait for whoever holds it.")] = 0.0,
    rack_file: RackOption = None,
) -> None:
    """Power-cycle BOARD with its command. It is held meanwhile, so nobody's run is cut off."""
    from harness.deadline import Deadline
    from harness.rack.file import find_rack
    from harness.rack.lock import BoardLock
    from harness.rack.power import power_cycle

    found = find_rack(rack_file)
    with BoardLock(found.folder, found.board(board).name).acquire(Deadline.after(wait)):
        power_cycle(found.board(board), Deadline.after(POWER_SECONDS))


def parse_duration(text: str | None) -> timedelta | None:
    """`90m`, `12h`, `7d`, `2w`; None: no end."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if match is None or int(match[1]) == 0:
        raise UsageError(f"{text!r} is no time; write 90m, 12h, 7d or 2w")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
