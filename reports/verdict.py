"""What the runs show, in words that claim no more than the intervals support."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from harness.results.comparison import (
    Cell,
    Comparison,
    accuracies,
    by_trainer,
    difference,
    training_effect,
)
from harness.results.statistics import Difference
from reports.alarms import alarms, caution_findings
from reports.numbers import THIN, count, kilobytes, percent, percent_range, plural, points, points_range
from reports.sentences import LEVEL, Finding, joined, name

LAST_LAYER = "last-layer"
FULL = "full"
SPARSE = "sparse"


def lead(comparison: Comparison) -> Markup:
    """The headline: on the first target, the sparse method of least peak SRAM, last-layer and full.

    Sparse methods are not picked by their accuracy: the best of several on the same test images looks better
    than it is.
    """
    target = comparison.targets[0]
    chosen = [
        cell for method in headline(comparison, target) if (cell := comparison.cell(method, target)).done
    ]
    if not chosen:
        return Markup("No run on {} was finished.").format(name(target))
    core = chosen[0].done[0].core
    clauses = [clause for cell in chosen if (clause := _clause(cell)) is not None]
    if not clauses:
        return Markup("On {} ({}), no figure was measured.").format(name(target), core)
    return Markup("On {} ({}), {}.").format(name(target), core, Markup("; ").join(clauses))


def findings(comparison: Comparison) -> tuple[Finding, ...]:
    """Claims in reading order, alarms first."""
    found = [
        *alarms(comparison),
        *_comparisons(comparison),
        *_no_effect(comparison),
        *_budget_findings(comparison),
        *_missing(comparison),
        *_one_seed(comparison),
        *caution_findings(comparison),
    ]
    return tuple(sorted(found, key=lambda finding: not finding.alarm))


def told_apart(result: Difference) -> str:
    """'better', 'worse' or 'cannot be told apart'."""
    if not result.distinguishable:
        return "cannot be told apart"
    return "better" if result.value > 0 else "worse"


def headline(comparison: Comparison, target: str) -> list[str]:
    def peak(method: str) -> tuple[int, str]:
        run = comparison.cell(method, target).sram_run
        return (run.sram.peak if run is not None and run.sram is not None else 1 << 62, method)

    references = [method for method in (LAST_LAYER, FULL) if method in comparison.methods]
    others = [method for method in comparison.methods if method not in references]
    sparse = [m for m in others if m.startswith(SPARSE) and comparison.cell(m, target).done] or others
    return sorted(sparse, key=peak)[:1] + references


def _clause(cell: Cell) -> Markup | None:
    """'NAME reached … with …' or '… but needs … and misses …'; None without a figure."""
    tested, run = accuracies(cell), cell.sram_run
    parts = [name(cell.method)]
    if tested is not None:
        after = tested[1]
        interval = percent_range(after.low, after.high)
        parts.append(
            Markup("reached {}{}% ({} interval {})").format(percent(after.value), THIN, LEVEL, interval)
        )
    if run is not None and run.sram is not None:
        sram, lacks = run.sram, run.sram.lacking_bytes > 0
        verb = "needs" if tested is None else "but needs" if lacks else "with"
        parts.append(Markup("{} {} of peak SRAM").format(verb, kilobytes(sram.peak)))
        if lacks:
            parts.append(
                Markup("and misses the {} of {} by {} bytes").format(
                    kilobytes(sram.budget_bytes or 0),
                    sram.budget_part or "its budget",
                    count(sram.lacking_bytes),
                )
            )
    return Markup(" ").join(parts) if len(parts) > 1 else None


def _comparisons(comparison: Comparison) -> Iterator[Finding]:
    trainers = by_trainer(comparison)
    for trainer, cells in trainers.items():
        where = f", trained on {trainer}" if len(trainers) > 1 else ""
        for reference in (LAST_LAYER, FULL):
            others = [m for m in comparison.methods if m in cells and m not in (reference, FULL)]
            if reference == LAST_LAYER and FULL in cells:
                others.append(FULL)
            if reference not in cells or not others:
                continue
            text = _against(cells, reference, others)
            if text:
                yield Finding(f"Accuracy against {reference}{where}", text)


def _against(cells: dict[str, Cell], reference: str, others: list[str]) -> Markup:
    groups: dict[str, list[Markup]] = {"better": [], "worse": [], "cannot be told apart": []}
    for method in others:
        result = difference(cells[method], cells[reference])
        if result is not None:
            groups[told_apart(result)].append(
                Markup("{} ({} points, {} interval {})").format(
                    name(method), points(result.value), LEVEL, points_range(result.low, result.high)
                )
            )
    sentences = [
        Markup("{} {}.").format(word, joined(parts))
        for word, parts in (
            ("Better:", groups["better"]),
            ("Worse:", groups["worse"]),
            ("Cannot be told apart:", groups["cannot be told apart"]),
        )
        if parts
    ]
    return Markup(" ").join(sentences)


def _no_effect(comparison: Comparison) -> Iterator[Finding]:
    for cells in by_trainer(comparison).values():
        for method, cell in cells.items():
            effect = training_effect(cell)
            if effect is not None and not effect.distinguishable:
                yield Finding(
                    "No effect seen",
                    Markup(
                        "What {} predicts after training cannot be told apart from before "
                        "({} points, {} interval {})."
                    ).format(
                        name(method), points(effect.value), LEVEL, points_range(effect.low, effect.high)
                    ),
                )


def _budget_findings(comparison: Comparison) -> Iterator[Finding]:
    for target in comparison.targets:
        runs = [comparison.cell(method, target).sram_run for method in comparison.methods]
        found = [(run.method, run.sram) for run in runs if run is not None and run.sram is not None]
        for part, budget in dict.fromkeys((sram.budget_part, sram.budget_bytes) for _, sram in found):
            if budget is None:
                continue
            mine = [(method, sram) for method, sram in found if sram.budget_bytes == budget]
            fitting = [name(method) for method, sram in mine if not sram.lacking_bytes]
            lacking = [
                Markup("{} misses it by {} bytes").format(name(method), count(sram.lacking_bytes))
                for method, sram in mine
                if sram.lacking_bytes
            ]
            fit = (
                [Markup("{} {}").format(joined(fitting), "fits" if len(fitting) == 1 else "fit")]
                if fitting
                else []
            )
            text = Markup("On {}, {}.").format(name(target), Markup("; ").join([*fit, *lacking]))
            yield Finding(f"{kilobytes(budget)} of {part or 'the budget'}", text)


def _missing(comparison: Comparison) -> Iterator[Finding]:
    total = len(comparison.documents)
    failed = sum(run.status == "failed" for run in comparison.documents)
    not_run = sum(run.status == "not-run" for run in comparison.documents)
    if failed or not_run:
        yield Finding(
            "Missing",
            Markup("Of {}, {} failed and {} not run; the table says why.").format(
                plural(total, "run"), count(failed), "1 was" if not_run == 1 else f"{count(not_run)} were"
            ),
        )


def _one_seed(comparison: Comparison) -> Iterator[Finding]:
    single = [
        name(method)
        for cells in by_trainer(comparison).values()
        for method, cell in cells.items()
        if len(cell.tested) == 1
    ]
    if single:
        yield Finding(
            "One seed",
            Markup(
                "{}: with one seed the intervals cover the choice of test images, not how training varies."
            ).format(joined(single)),
        )
