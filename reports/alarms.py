"""What puts figures in doubt: targets that disagree, accuracies not backed, contradictory documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from markupsafe import Markup

from harness.results.comparison import Comparison, DigestCheck, digest_checks
from harness.results.document import RunDocument
from harness.results.doubts import cautions, contradictions
from reports.numbers import plural
from reports.sentences import Finding, joined, name

SHOWN = 3
"""Runs named beside one sentence; of more, their number."""


def alarms(comparison: Comparison) -> tuple[Finding, ...]:
    """Findings to be read before any figure; and, not an alarm, that the state digests agree."""
    return (
        *_digest_findings(comparison),
        *_unbacked(comparison),
        *_by_sentence(comparison, "Contradiction", contradictions, alarm=True),
    )


def caution_findings(comparison: Comparison) -> tuple[Finding, ...]:
    """Warnings of the runs, and what weakens their figures without being wrong."""
    return tuple(_by_sentence(comparison, "Caution", cautions, alarm=False))


def _digest_findings(comparison: Comparison) -> Iterator[Finding]:
    checks = digest_checks(comparison)
    different = [check for check in checks if not check.equal]
    for check in different:
        yield Finding("State digests differ", _disagreement(check), alarm=True)
    if checks and not different:
        targets = sorted({target for check in checks for target, _ in check.states})
        methods = {check.method for check in checks}
        shortest = min(max(check.steps for check in checks if check.method == method) for method in methods)
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
        "{} with seed {} after {}: {}. The targets do not compute the same, "
        "so an accuracy of one does not count for the other."
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
                    "The accuracy of {} on {} (seeds {}) was computed elsewhere, "
                    "and no equal state digest shows that "
                    "{} computes the same."
                ).format(name(cell.method), name(cell.target), ", ".join(map(str, seeds)), name(cell.target)),
                alarm=True,
            )


def _by_sentence(
    comparison: Comparison, heading: str, said: Callable[[RunDocument], tuple[str, ...]], *, alarm: bool
) -> Iterator[Finding]:
    """One finding a sentence, naming the runs it is true of."""
    runs: dict[str, list[str]] = {}
    for run in comparison.documents:
        for sentence in said(run):
            runs.setdefault(sentence, []).append(f"{run.method} on {run.target}, seed {run.seed}")
    done = sum(run.status == "done" for run in comparison.documents)
    for sentence, where in runs.items():
        everywhere = len(where) == done > 1
        shown = ["all runs"] if everywhere else where[:SHOWN]
        more = f" and {len(where) - SHOWN} more" if not everywhere and len(where) > SHOWN else ""
        names = joined([name(part) for part in shown], "; ")
        yield Finding(heading, Markup("{}{}: {}.").format(names, more, sentence.rstrip(".")), alarm)
