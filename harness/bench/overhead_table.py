"""The overhead of a cell as text."""

from __future__ import annotations

from harness.bench.overhead import Overhead
from harness.console import plain_table, stdout_console


def overhead_rows(found: Overhead) -> list[tuple[str, float]]:
    """(what, seconds) of the whole cell: they add up to it."""
    calls = found.steps + found.predictions
    known = {"emulator executes": found.executing_seconds, **found.spent}
    known["link: round trips"] = calls * found.link_seconds
    rest = found.cell_seconds - sum(known.values())
    return [*known.items(), ("harness computes, and all else", rest)]


def print_overhead(found: Overhead) -> None:
    """On stdout: where the seconds go, and the one figure."""
    table = plain_table(("what",), ("seconds", "of the cell"))
    for what, seconds in overhead_rows(found):
        table.add_row(what, f"{seconds:.3f}", f"{seconds / found.cell_seconds:.2%}")
    table.add_row("the cell", f"{found.cell_seconds:.3f}", "")
    console = stdout_console()
    console.print(table)
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
