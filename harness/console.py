"""Tables on stdout: as wide as the terminal, or wide enough not to wrap where stdout is none."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

WIDTH = 132
"""Columns where stdout is a file or a pipe."""

UNLIMITED = 10_000


def stdout_console() -> Console:
    interactive = Console().is_terminal
    return Console(highlight=False, width=None if interactive else WIDTH)


def plain_table(left: tuple[str, ...], right: tuple[str, ...]) -> Table:
    """A table without lines; titles of the columns that are aligned left, then of those aligned right."""
    table = Table(box=None, pad_edge=False)
    for title in left:
        table.add_column(title, no_wrap=True)
    for title in right:
        table.add_column(title, justify="right")
    return table


def print_whole(table: Table) -> None:
    """Print a table on stdout as wide as it is: no name or figure in it is cut, whatever the terminal."""
    console = stdout_console()
    unlimited = console.options.update(max_width=UNLIMITED)
    wide = Console(
        highlight=False, width=max(console.width, console.measure(table, options=unlimited).maximum)
    )
    wide.print(table, soft_wrap=False)
