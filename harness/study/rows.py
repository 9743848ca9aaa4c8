"""From what was chosen and tested to the rows of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.results.comparison import Cell, accuracies, compare, correctness, difference
from harness.results.document import RunDocument
from harness.results.statistics import Difference
from harness.results.study import Against, Candidate, Measured, Reference, StudyRow
from harness.study.candidates import Rates, Score, StudyError
from harness.study.variants import BASELINE
from harness.suite import Method


@dataclass(frozen=True)
class Choice:
    """What one fold's selection came to. By method: the chosen rates, and the scores of all tried."""

    rates: Mapping[str, Rates]
    scores: Mapping[str, Sequence[Score]]

    def score(self, method: str) -> float:
        """Validation accuracy of the chosen rates."""
        chosen = self.rates[method]
        return next(s.accuracy or 0.0 for s in self.scores[method] if s.rates == chosen)


@dataclass(frozen=True)
class Pooled:
    """Final runs with the test images of all folds; methods of which a run failed are in `reasons` alone."""

    documents: tuple[RunDocument, ...]
    reasons: Mapping[str, str]


def pool_folds(finals: Sequence[Sequence[RunDocument]]) -> Pooled:
    """The first fold's documents with the test images of all folds, matched by method and seed.

    A method that failed anywhere gives no accuracy at all: the seeds that worked are not a fair sample.
    """
    reasons: dict[str, str] = {}
    for number, fold in enumerate(finals, 1):
        for run in fold:
            if run.status != "done" or run.accuracy is None:
                where = f", fold {number}" if len(finals) > 1 else ""
                reasons.setdefault(
                    run.method, f"seed {run.seed}{where}: {run.reason or 'it gave no accuracy'}"
                )
    pooled = []
    for first in finals[0]:
        if first.method in reasons:
            continue
        same = [
            run for fold in finals for run in fold if (run.method, run.seed) == (first.method, first.seed)
        ]
        parts = [run.accuracy for run in same if run.accuracy is not None]
        joined = {
            field: tuple(value for part in parts for value in getattr(part, field))
            for field in ("test_labels", "predicted_before", "predicted_after")
        }
        pooled.append(first.model_copy(update={"accuracy": parts[0].model_copy(update=joined)}))
    return Pooled(tuple(pooled), reasons)


def make_rows(
    methods: Sequence[Method],
    choices: Sequence[Choice],
    finals: Sequence[Sequence[RunDocument]],
    held_against: Mapping[str, Reference],
    against: Sequence[str],
    measured: Mapping[str, Measured],
    measured_reasons: Mapping[str, str],
) -> tuple[StudyRow, ...]:
    """One row a method, in the order of `methods`; `choices` and `finals`: of each fold.

    StudyError where no method at all gave an accuracy.
    """
    pooled = pool_folds(finals)
    if not pooled.documents:
        raise StudyError(f"no method gave an accuracy; {'; '.join(sorted(set(pooled.reasons.values())))}")
    comparison = compare(pooled.documents)
    (target,) = comparison.targets
    cells = {method.name: comparison.cell(method.name, target) for method in methods}
    any_run = {run.method: run for run in finals[0]}
    rows = []
    for method in methods:
        cell, reference = cells[method.name], held_against.get(method.name)
        other = None if reference is None else cells[reference.variant]
        row = _row(method, any_run[method.name], cell, choices)
        gains = {
            "against_baseline": _minus(cell, cells.get(BASELINE)) if method.name != BASELINE else None,
            "reference": reference,
            "against_reference": _minus(cell, other),
            "against": tuple(
                Against(method=name, difference=gain)
                for name in against
                if name != method.name and (gain := _minus(cell, cells[name])) is not None
            ),
            "reason": pooled.reasons.get(method.name, ""),
            "measured": measured.get(method.name),
            "measured_reason": measured_reasons.get(method.name, ""),
        }
        rows.append(row.model_copy(update=gains))
    return tuple(rows)


def _row(method: Method, run: RunDocument, cell: Cell, choices: Sequence[Choice]) -> StudyRow:
    intervals = accuracies(cell)
    chosen = [choice.rates[method.name] for choice in choices]
    scheme = run.scheme
    return StudyRow(
        method=method.name,
        scheme=method.scheme_name,
        description=scheme.description,
        rounding=scheme.rounding,
        gradient=scheme.gradient,
        quantization_aware_scaling=scheme.quantization_aware_scaling,
        rule=scheme.rule,
        momentum=scheme.momentum,
        accumulate=scheme.accumulate,
        precision=scheme.precision,
        learning_rates=tuple(rates.learning for rates in chosen),
        convolution_rates=tuple(rates.convolution for rates in chosen),
        rates_are_searched=(len(method.learning_rates) > 1, len(method.convolution_rates) > 1),
        validation_accuracy=sum(choice.score(method.name) for choice in choices) / len(choices),
        before=intervals[0] if intervals else None,
        after=intervals[1] if intervals else None,
        seed_accuracies=tuple(
            float(correctness(run.accuracy)[1].mean()) for run in cell.tested if run.accuracy is not None
        ),
        computed_on=run.target,
        against_baseline=None,
        reference=None,
        against_reference=None,
        state_bytes=int(run.notes.get("state_bytes", "0")),
        arena_bytes=run.plan.arena_bytes if run.plan else 0,
        extra_memory_analytic=scheme.extra_memory_analytic,
        candidates=tuple(
            _candidate(number, score, choice.rates[method.name])
            for number, choice in enumerate(choices, 1)
            for score in choice.scores[method.name]
        ),
    )


def _candidate(fold: int, score: Score, chosen: Rates) -> Candidate:
    return Candidate(
        fold=fold,
        learning_rate=score.rates.learning,
        convolution_rate=score.rates.convolution,
        accuracy=score.accuracy,
        images=score.images,
        reason=score.reason,
        chosen=score.rates == chosen,
    )


def _minus(cell: Cell, other: Cell | None) -> Difference | None:
    if other is None or not cell.tested or not other.tested:
        return None
    return difference(cell, other)
