"""The brief table that `trainbench run` ends with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.console import plain_table, print_whole, stdout_console

if TYPE_CHECKING:
    from harness.results.document import RunDocument


def print_verdict(documents: Sequence[RunDocument]) -> None:
    """Print one row for each method and target."""
    from harness.results.comparison import accuracies, compare
    from harness.results.figures import pooled_ticks
    from harness.results.statistics import median_and_range

    comparison = compare(documents)
    table = plain_table(
        ("method", "target"), ("peak SRAM", "over budget", "ticks per step", "accuracy after")
    )
    for method in comparison.methods:
        for target in comparison.targets:
            cell = comparison.cell(method, target)
            if not cell.done:
                table.add_row(
                    method, target, *[""] * 3, "/".join(sorted({run.status for run in cell.missing}))
                )
                continue
            sram = cell.sram_run.sram if cell.sram_run else None
            ticks = pooled_ticks(cell, "step_ticks")
            accuracy = accuracies(cell)
            over = "" if sram is None or sram.budget_bytes is None else f"{sram.lacking_bytes or 'fits'}"
            table.add_row(
                method,
                target,
                f"{sram.peak / 1024:.1f} KB" if sram else "",
                over if not over.isdigit() else f"{over} bytes",
                f"{median_and_range(ticks.values)[0]:,.0f} {ticks.unit}" if ticks else "",
                f"{accuracy[1].value:.1%} [{accuracy[1].low:.1%}, {accuracy[1].high:.1%}]"
                if accuracy
                else "",
            )
    console = stdout_console()
    print_whole(table)
    for run in documents:
        if run.status == "not-run":
            reason = f"{run.method} on {run.target}, seed {run.seed}, was not run: {run.reason}"
            console.print(reason, markup=False, soft_wrap=True)
