"""What the runs show, in words that claim no more than the intervals support.

Strings of documents are escaped where they enter a sentence (`Markup.format`), so a sentence is safe to put in a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from harness.results.comparison import (
    Cell,
    Comparison,
    DigestCheck,
    accuracies,
    by_trainer,
    difference,
    digest_checks,
    training_effect,
)
from harness.results.doubts import doubts
from harness.results.statistics import Difference
from reports.numbers import count, kilobytes, percent, percent_range, plural, points, points_range

LAST_LAYER = "last-layer"
FULL = "full"
SPARSE = "sparse"


@dataclass(frozen=True)
class Finding:
    """One claim with its heading. `alarm`: something that puts figures in doubt."""

    heading: str
    text: Markup
    alarm: bool = False


def name(text: str) -> Markup:
    """A method, target or file name inside a sentence; direction-isolated, so that it cannot reorder the figures."""
    return Markup('<bdi class="name">{}</bdi>').format(text)


def joined(parts: list[Markup], last: str = " and ") -> Markup:
    if len(parts) < 2:
        return Markup("").join(parts)
    return Markup(", ").join(parts[:-1]) + last + parts[-1]


def lead(comparison: Comparison) -> Markup:
    """The headline: on the first target, the sparse method of least peak SRAM, last-layer and full.

    Sparse methods are not picked by their accuracy: the best of several on the same test images looks better than it is.
    """
    target = comparison.targets[0]
    chosen = [cell for method in _headline(comparison, target) if (cell := comparison.cell(method, target)).done]
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
        *_digest_findings(comparison),
        *_unbacked(comparison),
        *_doubt_findings(comparison),
        *_comparisons(comparison),
        *_no_effect(comparison),
        *_budget_findings(comparison),
        *_missing(comparison),
        *_one_seed(comparison),
    ]
    return tuple(sorted(found, key=lambda finding: not finding.alarm))


def told_apart(result: Difference) -> str:
    """'better', 'worse' or 'cannot be told apart'."""
    if not result.distinguishable:
        return "cannot be told apart"
    return "better" if result.value > 0 else "worse"


def _headline(comparison: Comparison, target: str) -> list[str]:
    def peak(method: str) -> tuple[int, str]:
        run = comparison.cell(method, target).sram_run
        return (run.sram.peak if run is not None and run.sram is not None else 1 << 62, method)

    references = [method for method in (LAST_LAYER, FULL) if method in comparison.methods]
    others = [method for method in comparison.methods if method not in references]
    sparse = [m for m in others if m.startswith(SPARSE) and comparison.cell(m, target).done] or others
    return sorted(sparse, key=peak)[:1] + references


def _clause(cell: Cell) -> Markup | None:
    parts: list[Markup] = []
    if (tested := accuracies(cell)) is not None:
        after = tested[1]
        parts.append(
            Markup("reached {} % (95 % interval {})").format(
                percent(after.value), percent_range(after.low, after.high)
            )
        )
    run = cell.sram_run
    if run is not None and run.sram is not None:
        sram = run.sram
        text = Markup("with {} of peak SRAM" if parts else "needs {} of peak SRAM").format(kilobytes(sram.peak))
        if sram.budget_bytes is not None and sram.lacking_bytes:
            text = Markup("{}{} and misses the {}’s {} by {} bytes").format(
                "" if not parts else "but needs ",
                Markup("needs {}").format(kilobytes(sram.peak)) if not parts else kilobytes(sram.peak),
                sram.budget_part or "budget",
                kilobytes(sram.budget_bytes),
                count(sram.lacking_bytes),
            )
        parts.append(text)
    return Markup("{} {}").format(name(cell.method), Markup(" ").join(parts)) if parts else None


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
                yield Finding(f"Against {reference}{where}", text)


def _against(cells: dict[str, Cell], reference: str, others: list[str]) -> Markup:
    groups: dict[str, list[Markup]] = {"better": [], "worse": [], "cannot be told apart": []}
    for method in others:
        result = difference(cells[method], cells[reference])
        if result is not None:
            groups[told_apart(result)].append(
                Markup("{} ({} points, 95 % interval {})").format(
                    name(method), points(result.value), points_range(result.low, result.high)
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
                        "What {} predicts after training cannot be told apart from before ({} points, 95 % interval {})."
                    ).format(name(method), points(effect.value), points_range(effect.low, effect.high)),
                )


def _budget_findings(comparison: Comparison) -> Iterator[Finding]:
    for target in comparison.targets:
        fitting: list[Markup] = []
        lacking: list[Markup] = []
        part, budget = "", 0
        for method in comparison.methods:
            run = comparison.cell(method, target).sram_run
            if run is None or run.sram is None or run.sram.budget_bytes is None:
                continue
            part, budget = run.sram.budget_part or "the budget", run.sram.budget_bytes
            if run.sram.lacking_bytes:
                lacking.append(Markup("{} by {} bytes").format(name(method), count(run.sram.lacking_bytes)))
            else:
                fitting.append(name(method))
        if budget:
            heading = f"{kilobytes(budget)} of {part}"
            sentences = [
                Markup("{} {}.").format(word, joined(parts))
                for word, parts in (("Fit:", fitting), ("Do not fit:", lacking))
                if parts
            ]
            yield Finding(heading, Markup("{} On {}.").format(Markup(" ").join(sentences), name(target)))


def _digest_findings(comparison: Comparison) -> Iterator[Finding]:
    checks = digest_checks(comparison)
    different = [check for check in checks if not check.equal]
    for check in different:
        yield Finding("State digests differ", _disagreement(check), alarm=True)
    if checks and not different:
        targets = sorted({target for check in checks for target, _ in check.states})
        methods = {check.method for check in checks}
        shortest = min(
            max(check.steps for check in checks if check.method == method) for method in methods
        )
        yield Finding(
            "Same bits",
            Markup("State digests are equal on {} for {}, after at least {}.").format(
                joined([name(target) for target in targets]),
                plural(len(methods), "method"),
                plural(shortest, "training step"),
            ),
        )


def _disagreement(check: DigestCheck) -> Markup:
    states = [Markup("{} {}").format(name(target), state[:12]) for target, state in check.states]
    return Markup(
        "{} with seed {} after {}: {}. The targets do not compute the same, so an accuracy of one does not count for the other."
    ).format(name(check.method), check.seed, plural(check.steps, "step"), joined(states, " against "))


def _unbacked(comparison: Comparison) -> Iterator[Finding]:
    backed = {
        (check.method, check.seed, target)
        for check in digest_checks(comparison)
        if check.equal
        for target, _ in check.states
    }
    for cell in comparison.cells.values():
        seeds = [
            run.seed
            for run in cell.tested
            if run.accuracy is not None
            and run.accuracy.computed_on != run.target
            and (run.method, run.seed, run.target) not in backed
        ]
        if seeds:
            yield Finding(
                "Accuracy not shown for this target",
                Markup(
                    "The accuracy of {} on {} (seeds {}) was computed elsewhere, and no equal state digest shows that "
                    "{} computes the same."
                ).format(name(cell.method), name(cell.target), ", ".join(map(str, seeds)), name(cell.target)),
                alarm=True,
            )


def _doubt_findings(comparison: Comparison) -> Iterator[Finding]:
    runs: dict[str, list[str]] = {}
    for run in comparison.documents:
        for sentence in doubts(run):
            runs.setdefault(sentence, []).append(f"{run.method} on {run.target}, seed {run.seed}")
    for sentence, where in runs.items():
        everywhere = len(where) == len([run for run in comparison.documents if run.status == "done"])
        shown = ["all runs"] if everywhere and len(where) > 1 else where[:3]
        more = f" and {len(where) - 3} more" if not everywhere and len(where) > 3 else ""
        text = Markup("{}: {}{}.").format(
            joined([name(part) for part in shown], "; "), sentence.rstrip("."), more
        )
        yield Finding("Doubtful", text, alarm=True)


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
