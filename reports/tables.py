"""The comparison table and the table of paired differences, as rows of ready-made text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.results.comparison import Cell, Comparison, accuracies, by_trainer, difference, digest_checks
from harness.results.document import RunDocument, Sram
from harness.results.figures import pooled_ticks, state_digest
from harness.results.statistics import Interval, median_and_range
from reports.numbers import (
    DASH,
    count,
    kilobytes,
    listed,
    percent,
    percent_range,
    plural,
    points,
    points_range,
)
from reports.verdict import FULL, LAST_LAYER, told_apart


@dataclass(frozen=True)
class Value:
    """One table cell: the figure, lines below it, and 'good' or 'bad' where that is the point."""

    text: str = DASH
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Column:
    """`group` spans the columns that share it; `unit` is part of the heading."""

    group: str
    title: str


COLUMNS = (
    Column("Top-1 accuracy, %", "before"),
    Column("Top-1 accuracy, %", "after"),
    Column("Peak SRAM, bytes", "peak"),
    Column("Peak SRAM, bytes", "budget"),
    Column("Ticks, median", "a training step"),
    Column("Ticks, median", "a prediction"),
    Column("Parts of the peak, bytes", "static"),
    Column("Parts of the peak, bytes", "state"),
    Column("Parts of the peak, bytes", "arena"),
    Column("Parts of the peak, bytes", "stack"),
    Column("Beside it, bytes", "arena touched"),
    Column("Beside it, bytes", "agent"),
    Column("ELF, bytes", "flash"),
    Column("Analytic, bytes", "extra memory"),
    Column("State digest", "SHA-256"),
)


@dataclass(frozen=True)
class Row:
    """One method on one target. `reasons`: why seeds (or all of it) are missing."""

    method: str
    values: tuple[Value, ...]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """All methods on one target."""

    target: str
    title: str
    rows: tuple[Row, ...] = field(default=())


def comparison_blocks(comparison: Comparison) -> tuple[Block, ...]:
    """One block a target, one row a method, in the comparison's order."""
    blocks = []
    for target in comparison.targets:
        cells = [comparison.cell(method, target) for method in comparison.methods]
        some = next(cell.runs[0] for cell in cells if cell.runs)
        known = some.core.casefold() in some.target_title.casefold()
        title = some.target_title if known else f"{some.target_title}, {some.core}"
        blocks.append(Block(target, title, tuple(_row(comparison, cell) for cell in cells)))
    return tuple(blocks)


def groups() -> tuple[tuple[str, int], ...]:
    """Column groups with their widths, in order."""
    found: dict[str, int] = {}
    for column in COLUMNS:
        found[column.group] = found.get(column.group, 0) + 1
    return tuple(found.items())


@dataclass(frozen=True)
class PairedTable:
    """Accuracy after training, row minus reference."""

    trainer: str
    references: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Value, ...]], ...]
    seeds: str
    images: int


def paired_tables(comparison: Comparison) -> tuple[PairedTable, ...]:
    """One table for each target that computed accuracies of a reference and of something else."""
    tables = []
    for trainer, cells in by_trainer(comparison).items():
        references = tuple(method for method in (LAST_LAYER, FULL) if method in cells)
        methods = [method for method in comparison.methods if method in cells]
        if not references or len(methods) < 2:
            continue
        rows = tuple((m, tuple(_paired(cells[m], cells[r]) for r in references)) for m in methods)
        tested = [cell.tested for cell in cells.values()]
        seeds = sorted({len(runs) for runs in tested})
        first = tested[0][0].accuracy
        images = len(first.test_labels) if first is not None else 0
        tables.append(PairedTable(trainer, references, rows, DASH.join(map(str, seeds)), images))
    return tuple(tables)


def _paired(cell: Cell, reference: Cell) -> Value:
    if cell.method == reference.method:
        return Value()
    result = difference(cell, reference)
    if result is None:
        return Value(note="no seed in common")
    word = told_apart(result)
    tone = {"better": "good", "worse": "bad"}.get(word, "")
    return Value(points(result.value), f"{points_range(result.low, result.high)}\n{word}", tone)


def _row(comparison: Comparison, cell: Cell) -> Row:
    tested = accuracies(cell)
    values = (
        *(_accuracy(cell, interval) for interval in (tested or (None, None))),
        *_peak(cell.sram_run),
        _ticks(cell, "step_ticks"),
        _ticks(cell, "predict_ticks"),
        *_parts(cell.sram_run),
        _flash(cell),
        _extra_memory(cell),
        _digest(comparison, cell),
    )
    return Row(cell.method, values, tuple(_reasons(comparison, cell)))


def _reasons(comparison: Comparison, cell: Cell) -> Iterator[str]:
    if not cell.runs:
        yield "no run document: this method was not asked for on this target"
    by_reason: dict[tuple[str, str], list[str]] = {}
    for run in cell.missing:
        by_reason.setdefault((run.status, run.reason), []).append(str(run.seed))
    for (status, reason), seeds in by_reason.items():
        word = "failed" if status == "failed" else "not run"
        yield f"Seed{'s' if len(seeds) > 1 else ''} {listed(seeds)} {word}: {reason or 'no reason is given'}"


def _accuracy(cell: Cell, interval: Interval | None) -> Value:
    if interval is None:
        return Value()
    elsewhere = sorted(
        {
            run.accuracy.computed_on
            for run in cell.tested
            if run.accuracy is not None and run.accuracy.computed_on != cell.target
        }
    )
    note = percent_range(interval.low, interval.high)
    return Value(percent(interval.value), f"{note}\non {', '.join(elsewhere)}" if elsewhere else note)


def _peak(run: RunDocument | None) -> tuple[Value, Value]:
    """Peak SRAM, and whether it fits the budget."""
    if run is None or run.sram is None:
        return Value(note="not measured"), Value()
    sram = run.sram
    return Value(count(sram.peak), f"{kilobytes(sram.peak)} · {sram.kind}"), _budget(sram)


def _parts(run: RunDocument | None) -> tuple[Value, ...]:
    """Static, state, arena, stack; then arena touched and agent."""
    if run is None or run.sram is None:
        return (Value(),) * 6
    sram = run.sram
    touched = Value(count(sram.arena_touched), tone="bad" if sram.arena_touched > sram.arena else "")
    parts = (sram.static, sram.state, sram.arena, sram.stack)
    return (*(Value(count(part)) for part in parts), touched, Value(count(sram.agent)))


def _budget(sram: Sram) -> Value:
    if sram.budget_bytes is None:
        return Value(note="no budget")
    part = f"{sram.budget_part or 'budget'}, {kilobytes(sram.budget_bytes)}"
    if sram.lacking_bytes:
        return Value(f"lacks {count(sram.lacking_bytes)}", part, "bad")
    return Value("fits", part, "good")


def _ticks(cell: Cell, series: str) -> Value:
    ticks = pooled_ticks(cell, series)
    if ticks is None:
        return Value()
    median, low, high = median_and_range(ticks.values)
    spread = f"\n{count(low)}{DASH}{count(high)}" if low != high else ""
    return Value(count(median), f"{ticks.unit} · {ticks.kind}{spread}")


def _flash(cell: Cell) -> Value:
    sizes = [run.sections.flash for run in cell.done if run.sections is not None]
    return Value(count(max(sizes)), kilobytes(max(sizes))) if sizes else Value()


def _extra_memory(cell: Cell) -> Value:
    runs = cell.done or tuple(run for run in cell.runs if run.status == "not-run")
    if not runs or any(run.foreign is not None for run in runs):
        return Value()
    extra = max(run.scheme.extra_memory_analytic for run in runs)
    return Value(count(extra), kilobytes(extra))


def _digest(comparison: Comparison, cell: Cell) -> Value:
    digest = state_digest(comparison, cell)
    if digest is None:
        return Value()
    steps, state = digest
    checks = [
        check
        for check in digest_checks(comparison)
        if check.method == cell.method and cell.target in dict(check.states)
    ]
    if not checks:
        return Value(state[:10], f"{plural(steps, 'step')}\nno other target to compare")
    others = sorted({target for check in checks for target, _ in check.states} - {cell.target})
    if any(not check.equal for check in checks):
        return Value(state[:10], f"≠ DIFFERS from {', '.join(others)}", "bad")
    seeds = len({check.seed for check in checks})
    reached = min(max(c.steps for c in checks if c.seed == seed) for seed in {c.seed for c in checks})
    return Value(
        state[:10], f"= {', '.join(others)}\n{plural(seeds, 'seed')}, {plural(reached, 'step')}", "good"
    )
