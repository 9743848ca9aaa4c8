"""The result of an accuracy study as a table on the terminal, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.table import Table

from harness.console import plain_table, print_whole, stdout_console
from harness.results.statistics import Difference, Interval
from harness.results.store import write_atomically
from harness.results.study import StudyDocument, StudyRow

COLUMNS = (
    *("method", "rounding", "gradient", "learning_rates", "validation_accuracy"),
    *("accuracy_before", "accuracy_after", "low", "high"),
    *("minus_last_layer", "minus_low", "minus_high", "seeds", "test_images"),
    *("reference", "minus_reference", "minus_reference_low", "minus_reference_high"),
    *("state_bytes", "arena_bytes", "extra_memory_analytic"),
    *("scheme", "qas", "rule", "precision", "convolution_rates", "accumulate"),
    *("accuracy_computed_on", "seed_accuracies", "reason"),
    *("measured_on", "peak_sram", "static", "stack", "agent"),
    *("step_ticks", "predict_ticks", "tick_unit", "equal_steps", "measured_reason"),
)
"""New columns are added at the end."""

Text = Callable[[StudyRow], str]
DASH = "–"


def print_study(study: StudyDocument) -> None:
    """A table on stdout; accuracies in percent, differences in points. Then how it was made, and warnings."""
    columns = _columns(study)
    table = plain_table(("method",), tuple(columns))
    for row in study.rows:
        table.add_row(row.method, *(text(row) for text in columns.values()))
    print_whole(table)
    console = stdout_console()
    if study.against:
        print_whole(_differences(study))
    for row in study.rows:
        if row.reference is not None and row.against_reference is not None:
            text = f"{change(row)}: {_points(row.against_reference)} points"
            console.print(text, markup=False, soft_wrap=True)
    console.print(protocol_sentence(study), markup=False, soft_wrap=True)


def change(row: StudyRow) -> str:
    """What is subtracted from what, for a row that is held against another to see one option alone."""
    if row.reference is None:
        return row.method
    plain = row.reference.variant == row.reference.from_
    return f"{row.method}{'' if plain else f', {row.reference.changed}'} − {row.reference.from_}"


def _differences(study: StudyDocument) -> Table:
    """Each method minus those it is held against, in points."""
    table = plain_table(("method, points",), tuple(f"minus {name}" for name in study.against))
    for row in study.rows:
        gains = {one.method: one.difference for one in row.against}
        table.add_row(row.method, *(_points(gains[n]) if n in gains else "" for n in study.against))
    return table


def protocol_sentence(study: StudyDocument) -> str:
    """How the accuracies came about, in one sentence."""
    part = study.protocol
    validated = (
        f"{part.selection_folds} folds of what is not tested"
        if part.selection_folds > 1
        else "the validation part"
    )
    tested = f"{part.folds} folds" if part.folds > 1 else "the test part"
    rows = [row for row in study.rows if row.precision == "int8"] or study.rows
    return (
        f"Batch 1, {part.warmup_epochs} + {part.epochs} epochs on {part.train_images} images,"
        f" {_list(row.rounding for row in rows)} rounding, {_list(row.gradient for row in rows)} gradients;"
        f" rates chosen on {validated}; tested on {part.test_images} images ({tested}), {part.seeds} seeds;"
        f" accuracy computed on {_list(row.computed_on for row in rows)}."
    )


def _list(words: Iterable[str]) -> str:
    return "/".join(dict.fromkeys(words))


def _columns(study: StudyDocument) -> dict[str, Text]:
    """What to show: what is asked for, and options where they differ."""
    rows = study.rows
    quantized = [row for row in rows if row.precision == "int8"]
    columns: dict[str, Text] = {}
    if len({row.rounding for row in quantized}) > 1:
        columns["rounding"] = lambda row: row.rounding
    if len({row.gradient for row in quantized}) > 1:
        columns["gradients"] = lambda row: row.gradient
    columns["learning rate"] = lambda row: _rates(row.learning_rates)
    if any(rate != 1 for row in rows for rate in row.convolution_rates):
        columns["convolutions ×"] = lambda row: _rates(row.convolution_rates)
    columns["validation"] = lambda row: f"{row.validation_accuracy:.1%}"
    columns["before"] = lambda row: DASH if row.before is None else f"{row.before.value:.1%}"
    columns["after"] = lambda row: _accuracy(row.after)
    columns[f"minus {study.baseline}"] = lambda row: (
        "" if row.against_baseline is None else _points(row.against_baseline)
    )
    columns["extra memory (analytic)"] = lambda row: _bytes(row.extra_memory_analytic)
    if study.measured_on:
        columns[f"peak SRAM ({_kind(rows)})"] = lambda row: _bytes(
            row.measured.sram.peak if row.measured else None
        )
        columns[f"{_unit(rows)} a step ({_tick_kind(rows)})"] = lambda row: (
            DASH if row.measured is None else f"{row.measured.step_ticks.median:,.0f}"
        )
    else:
        columns["state + arena"] = lambda row: _bytes(row.state_bytes + row.arena_bytes)
    return columns


def _kind(rows: Sequence[StudyRow]) -> str:
    """How the peaks were obtained."""
    return "/".join(sorted({row.measured.sram.kind for row in rows if row.measured})) or DASH


def _unit(rows: Sequence[StudyRow]) -> str:
    return "/".join(sorted({row.measured.step_ticks.unit for row in rows if row.measured})) or "ticks"


def _tick_kind(rows: Sequence[StudyRow]) -> str:
    return "/".join(sorted({row.measured.step_ticks.kind for row in rows if row.measured})) or DASH


def _rates(rates: Sequence[float]) -> str:
    """Each fold's; once where all are equal."""
    shown = rates if len(set(rates)) > 1 else rates[:1]
    return " ".join(f"{rate:g}" for rate in shown)


def _accuracy(interval: Interval | None) -> str:
    if interval is None:
        return "failed"
    return f"{interval.value:.1%} [{interval.low:.1%}, {interval.high:.1%}]"


def _bytes(size: int | None) -> str:
    return DASH if size is None else f"{size:,}"


def _points(gain: Difference) -> str:
    """In percentage points, with a true minus sign: −0.1 [−0.4, +0.2]."""
    value, low, high = (f"{100 * part:+.1f}" for part in (gain.value, gain.low, gain.high))
    return f"{value} [{low}, {high}]".replace("-", "−")


def write_rows(study: StudyDocument, folder: Path) -> None:
    """`accuracy.csv` (columns COLUMNS) and `accuracy.json` (the rows but for what was tried) in `folder`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_fields(row) for row in study.rows)
    rows = [row.model_dump(mode="json", exclude={"candidates"}) for row in study.rows]
    write_atomically(folder / "accuracy.csv", text.getvalue())
    write_atomically(folder / "accuracy.json", json.dumps(rows, indent=1) + "\n")


def _fields(row: StudyRow) -> list[object]:
    """One line of the CSV; empty where there is no such figure."""
    after, gain, other, reference = row.after, row.against_baseline, row.against_reference, row.reference
    fields: list[object] = [row.method, row.rounding, row.gradient]
    fields += [" ".join(map(str, row.learning_rates)), row.validation_accuracy]
    fields.append(row.before.value if row.before else "")
    fields += [after.value, after.low, after.high] if after else [""] * 3
    fields += [gain.value, gain.low, gain.high] if gain else [""] * 3
    fields += [after.seeds, after.images] if after else [""] * 2
    fields.append(reference.variant if reference else "")
    fields += [other.value, other.low, other.high] if other else [""] * 3
    fields += [row.state_bytes, row.arena_bytes, row.extra_memory_analytic]
    scaled = "on" if row.quantization_aware_scaling else "off"
    factors = " ".join(map(str, row.convolution_rates))
    fields += [row.scheme, scaled, row.rule, row.precision, factors, row.accumulate]
    fields += [row.computed_on, " ".join(map(str, row.seed_accuracies)), row.reason]
    found = row.measured
    if found is None:
        return [*fields, *[""] * 9, row.measured_reason]
    fields += [found.target, found.sram.peak, found.sram.static, found.sram.stack, found.sram.agent]
    fields += [found.step_ticks.median, found.predict_ticks.median, found.step_ticks.unit]
    return [*fields, found.equal_steps, row.measured_reason]
