"""What was measured, as a table and as CSV."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.table import Table

from harness.bench.run import Measured
from harness.console import plain_table, print_whole

COLUMNS = (
    *("kernel", "shape", "macs", "instructions", "per_mac"),
    *("reference_instructions", "reference_per_mac", "ratio"),
)


def bench_figures(measured: Sequence[Measured]) -> pd.DataFrame:
    """One row a case, columns `COLUMNS`. Instructions are rounded to whole ones."""
    rows = [
        (
            *(entry.case.name, entry.case.shape, entry.case.macs, round(entry.instructions)),
            *(round(entry.per_mac, 4), round(entry.reference_instructions)),
            *(round(entry.reference_per_mac, 4), round(entry.ratio, 3)),
        )
        for entry in measured
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def print_bench(measured: Sequence[Measured]) -> None:
    """On stdout."""
    print_whole(_table(measured))


def _table(measured: Sequence[Measured]) -> Table:
    table = plain_table(
        ("kernel", "shape"),
        ("MACs", "instructions", "per MAC", "plain C", "per MAC", "ratio"),
    )
    for entry in measured:
        table.add_row(
            *(entry.case.name, entry.case.shape, f"{entry.case.macs:,}", f"{entry.instructions:,.0f}"),
            *(f"{entry.per_mac:.2f}", f"{entry.reference_instructions:,.0f}"),
            *(f"{entry.reference_per_mac:.2f}", f"{entry.ratio:.2f}"),
        )
    return table
