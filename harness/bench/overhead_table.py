"""The overhead of a cell as text."""

from __future__ import annotations

import pandas as pd

from harness.bench.overhead import Overhead
from harness.console import plain_table, print_whole, stdout_console

COLUMNS = ("clock", "what", "seconds", "overhead")


def overhead_rows(found: Overhead) -> list[tuple[str, float]]:
    """(what, seconds) of the whole cell: they add up to it."""
    calls = found.steps + found.predictions
    known = {"emulator executes": found.executing_seconds, **found.spent}
    known["link: round trips"] = calls * found.link_seconds
    rest = found.cell_seconds - sum(known.values())
    return [*known.items(), ("harness computes, and all else", rest)]


def processor_rows(found: Overhead) -> list[tuple[str, float]]:
    """(who, processor seconds)."""
    used = found.processor
    return [
        ("emulator executes", used.executing),
        ("emulator, all else", used.emulator),
        ("harness", used.harness),
    ]


def overhead_figures(found: Overhead) -> pd.DataFrame:
    """One row a part and one for the whole, by either clock; columns `COLUMNS`, overhead as a share."""
    rows: list[tuple[str, str, float, float | None]] = []
    for clock, parts, overhead in (
        ("wall", overhead_rows(found), found.overhead),
        ("processor", processor_rows(found), found.processor.overhead),
    ):
        rows += [(clock, what, round(seconds, 6), None) for what, seconds in parts]
        rows.append((clock, "all", round(sum(seconds for _, seconds in parts), 6), round(overhead, 6)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def print_overhead(found: Overhead) -> None:
    """On stdout: where the seconds go, and the two figures."""
    table = plain_table(("what",), ("seconds", "of the cell"))
    for what, seconds in overhead_rows(found):
        table.add_row(what, f"{seconds:.3f}", f"{seconds / found.cell_seconds:.2%}")
    table.add_row("the cell", f"{found.cell_seconds:.3f}", "")
    console = stdout_console()
    print_whole(table)
    used = found.processor
    console.print(
        f"processor seconds: emulator executing {used.executing:.2f}, emulator otherwise {used.emulator:.2f},"
        f" harness {used.harness:.2f}: {used.overhead:.2%} added",
        soft_wrap=True,
    )
    console.print(
        f"{found.method} on {found.target}, {found.steps} steps and {found.predictions} predictions,"
        f" {found.ticks:,} ticks: by the wall clock the harness adds {found.overhead:.2%} to the"
        " emulator's own run",
        soft_wrap=True,
    )
