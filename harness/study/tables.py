"""The result of an accuracy study as a table on the terminal, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from harness.console import plain_table, stdout_console
from harness.results.statistics import Difference
from harness.results.store import write_atomically
from harness.study.protocol import Row
from harness.study.variants import BASELINE

COLUMNS = (
    *("method", "rounding", "gradient", "learning_rates", "validation_accuracy"),
    *("accuracy_before", "accuracy_after", "low", "high"),
    *("minus_last_layer", "minus_low", "minus_high", "seeds", "test_images"),
    *("reference", "minus_reference", "minus_reference_low", "minus_reference_high"),
    *("state_bytes", "arena_bytes", "extra_memory_analytic"),
)


def print_rows(rows: Sequence[Row]) -> None:
    """A table on stdout; accuracies in percent, differences in points."""
    table = plain_table(
        ("method",),
        ("rounding", "gradients", "learning rate", "before", "after", f"minus {BASELINE}", "state + arena"),
    )
    for row in rows:
        gain = row.against_baseline
        table.add_row(
            row.method,
            row.rounding,
            row.gradient,
            ", ".join(f"{rate:g}" for rate in row.learning_rates),
            f"{row.before.value:.1%}",
            f"{row.after.value:.1%} [{row.after.low:.1%}, {row.after.high:.1%}]",
            "" if gain is None else _points(gain),
            f"{row.state_bytes + row.arena_bytes} bytes",
        )
    stdout_console().print(table)
    for row in rows:
        if row.reference is not None and row.against_reference is not None:
            change = f"{row.reference.changed} − {row.reference.from_}: {_points(row.against_reference)}"
            stdout_console().print(f"{row.method}, {change} points", markup=False, soft_wrap=True)


def _points(gain: Difference) -> str:
    """In percentage points, with a true minus sign: −0.1 [−0.4, +0.2]."""
    value, low, high = (f"{100 * part:+.1f}" for part in (gain.value, gain.low, gain.high))
    return f"{value} [{low}, {high}]".replace("-", "−")


def write_rows(rows: Sequence[Row], folder: Path) -> None:
    """`accuracy.csv` (columns COLUMNS) and `accuracy.json` (the rows as they are) in `folder`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        gain, other = row.against_baseline, row.against_reference
        writer.writerow(
            [
                *(row.method, row.rounding, row.gradient),
                *(" ".join(map(str, row.learning_rates)), row.validation_accuracy),
                *(row.before.value, row.after.value, row.after.low, row.after.high),
                *((gain.value, gain.low, gain.high) if gain else ("", "", "")),
                *(row.after.seeds, row.after.images),
                row.reference.variant if row.reference else "",
                *((other.value, other.low, other.high) if other else ("", "", "")),
                *(row.state_bytes, row.arena_bytes, row.extra_memory_analytic),
            ]
        )
    write_atomically(folder / "accuracy.csv", text.getvalue())
    write_atomically(folder / "accuracy.json", json.dumps([asdict(row) for row in rows], indent=1) + "\n")
