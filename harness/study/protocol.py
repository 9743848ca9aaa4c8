"""The accuracy protocol: a learning rate for each method from a validation part, then held-out accuracy.

1. Selection: train on the training part at every rate of the grid, test on the validation part. The test part
   is not looked at. The rate with the best mean accuracy over the selection seeds is taken; of equal ones the
   smallest.
2. Final: train on the training and validation parts together at that rate, with the final seeds; test once.

With several folds both are done for each fold on its own (its rate is chosen without its test part), and the
test images of all folds are pooled: each image is tested once a seed, by a network that never saw it.

All runs are on the suite's reference target at batch 1, through the same cells as `trainbench run`; what is
finished in the folder is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import HarnessError, UsageError
from harness.results.comparison import Cell, accuracies, compare, difference
from harness.results.document import RunDocument
from harness.results.statistics import Difference, Interval
from harness.run.request import read_inputs
from harness.run.runner import Request, Watcher, run_suite
from harness.study.variants import BASELINE, Options, Reference, changed, references, variants
from harness.suite import Method

Choice = Mapping[str, tuple[float, float]]
"""By method: the chosen learning rate and its validation accuracy."""

SELECTION_FOLDER = "selection"
FINAL_FOLDER = "final"
DEFAULT_RATES = (1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3)
"""Step sizes per image. The paper's grid of 0.05 to 0.4 a batch of 256 lies inside."""


class StudyError(HarnessError):
    """A method for which no learning rate of the grid works."""


@dataclass(frozen=True)
class Study:
    """What is asked for. `request` names the variants of the methods, without a chosen rate."""

    request: Request
    references: Mapping[str, Reference]
    """By method: the variant it is held against, beside the baseline."""
    rates: tuple[float, ...]
    selection_seeds: tuple[int, ...]
    final_seeds: tuple[int, ...]
    folds: int = 1
    """1: the dataset's own split."""


@dataclass(frozen=True)
class Row:
    """One line of the result. Sizes in bytes, accuracies in 0..1."""

    method: str
    rounding: str
    gradient: str
    learning_rates: tuple[float, ...]
    """The chosen one of each fold."""
    validation_accuracy: float
    """At the chosen rate, mean over folds."""
    before: Interval
    after: Interval
    against_baseline: Difference | None
    """Accuracy after training minus the baseline's, paired by seed and image; None for the baseline."""
    reference: Reference | None
    """What it is held against to see one option alone; None where it is the first variant of its method."""
    against_reference: Difference | None
    """Accuracy after training minus the reference's, paired as above."""
    state_bytes: int
    arena_bytes: int
    extra_memory_analytic: int


def make_study(
    request: Request,
    options: Options,
    rates: tuple[float, ...],
    selection_seeds: tuple[int, ...],
    final_seeds: tuple[int, ...],
    folds: int = 1,
) -> Study:
    """Check the parts and name the variants; raises UsageError for a grid that cannot be used."""
    if not rates or min(rates) <= 0:
        raise UsageError(f"learning rates have to be positive, not {', '.join(map(str, rates))}")
    named = replace(request, methods=variants(request.methods, options))
    held_against = references(request.methods, options)
    return Study(named, held_against, rates, selection_seeds, final_seeds, folds)


def run_study(study: Study, watcher: Watcher) -> tuple[list[Row], list[str]]:
    """Select, train, compare: the rows, and what to know about them.

    Raises StudyError where every rate of a method's grid failed.
    """
    choices: list[Choice] = []
    finals: list[list[RunDocument]] = []
    for part in fold_studies(study):
        selected = run_suite(_selection(part), watcher)
        choices.append(choose_rates(part.request.methods, part.rates, selected))
        finals.append(run_suite(_final(part, choices[-1]), watcher))
    rows = make_rows(study.request.methods, choices, pool_folds(finals), study.references)
    warnings = [warning for choice in choices for warning in edge_warnings(choice, study.rates)]
    return rows, sorted(set(warnings))


def fold_studies(study: Study) -> list[Study]:
    """One study a fold, each in a folder of its own; the study itself with the dataset's own split."""
    if study.folds == 1:
        return [study]
    request = study.request
    parts = []
    for number in range(1, study.folds + 1):
        dataset = f"fold:{number}/{study.folds}:{request.inputs.dataset}"
        inputs = read_inputs(request.suite.name, request.inputs.backbone, dataset)
        folder = request.out / f"fold-{number}-of-{study.folds}"
        parts.append(replace(study, request=replace(request, inputs=inputs, out=folder), folds=1))
    return parts


def pool_folds(finals: Sequence[Sequence[RunDocument]]) -> list[RunDocument]:
    """The first fold's documents with the test images of all folds, matched by method and seed.

    Raises StudyError where a cell of a fold gave no accuracy.
    """
    for run in (run for fold in finals for run in fold):
        if run.status != "done" or run.accuracy is None:
            raise StudyError(f"{run.method}, seed {run.seed}, gave no accuracy: {run.reason}")
    pooled = []
    for first in finals[0]:
        same = [
            run for fold in finals for run in fold if (run.method, run.seed) == (first.method, first.seed)
        ]
        parts = [run.accuracy for run in same if run.accuracy is not None]
        joined = {
            field: tuple(value for part in parts for value in getattr(part, field))
            for field in ("test_labels", "predicted_before", "predicted_after")
        }
        pooled.append(first.model_copy(update={"accuracy": parts[0].model_copy(update=joined)}))
    return pooled


def at_rate(method: Method, rate: float) -> Method:
    """`method` as one candidate of the selection."""
    name = f"{method.name} lr={rate:g}"
    return changed(method, name=name, scheme=method.scheme_name, learning_rate=rate)


def choose_rates(
    methods: Sequence[Method], rates: Sequence[float], selected: Sequence[RunDocument]
) -> Choice:
    """By method: (rate, mean validation accuracy) of the best rate; a rate that diverged is out."""
    chosen: dict[str, tuple[float, float]] = {}
    for method in methods:
        scores: dict[float, float] = {}
        for rate in rates:
            runs = [run for run in selected if run.method == at_rate(method, rate).name]
            if runs and all(run.status == "done" for run in runs):
                scores[rate] = sum(_validation_accuracy(run) for run in runs) / len(runs)
        if not scores:
            reasons = "; ".join(sorted({run.reason for run in selected if run.reason}))
            raise StudyError(f"{method.name} trained at no learning rate of the grid: {reasons}")
        best = min(scores, key=lambda rate: (-scores[rate], rate))
        chosen[method.name] = (best, scores[best])
    return chosen


def edge_warnings(chosen: Choice, rates: Sequence[float]) -> list[str]:
    """Sentences for methods whose best rate is an end of the grid: a better one may lie beyond."""
    return [
        f"{name}: the chosen learning rate {rate:g} is the {word} of the grid, a better one may lie beyond"
        for name, (rate, _) in chosen.items()
        for word, end in (("smallest", min(rates)), ("largest", max(rates)))
        if rate == end
    ]


def make_rows(
    methods: Sequence[Method],
    choices: Sequence[Choice],
    final: Sequence[RunDocument],
    held_against: Mapping[str, Reference],
) -> list[Row]:
    """One row a method, in the order of `methods`; `choices`: the chosen rates of each fold."""
    comparison = compare(final)
    (target,) = comparison.targets
    cells = {method.name: comparison.cell(method.name, target) for method in methods}
    rows = []
    for method in methods:
        reference = held_against.get(method.name)
        other = None if reference is None else cells[reference.variant]
        chosen = [choice[method.name] for choice in choices]
        row = _row(method, chosen, cells[method.name], cells.get(BASELINE))
        rows.append(replace(row, reference=reference, against_reference=_minus(cells[method.name], other)))
    return rows


def _row(method: Method, chosen: Sequence[tuple[float, float]], cell: Cell, baseline: Cell | None) -> Row:
    intervals = accuracies(cell)
    if intervals is None:
        raise StudyError(f"{method.name} was not tested")
    first = cell.done[0]
    return Row(
        method=method.name,
        rounding=first.scheme.rounding,
        gradient=first.scheme.gradient,
        learning_rates=tuple(rate for rate, _ in chosen),
        validation_accuracy=sum(accuracy for _, accuracy in chosen) / len(chosen),
        before=intervals[0],
        after=intervals[1],
        against_baseline=None if baseline is cell else _minus(cell, baseline),
        reference=None,
        against_reference=None,
        state_bytes=int(first.notes["state_bytes"]),
        arena_bytes=first.plan.arena_bytes if first.plan else 0,
        extra_memory_analytic=first.scheme.extra_memory_analytic,
    )


def _minus(cell: Cell, other: Cell | None) -> Difference | None:
    return None if other is None else difference(cell, other)


def _selection(study: Study) -> Request:
    return replace(
        study.request,
        # Only the last point of the curve is looked at.
        suite=study.request.suite.model_copy(update={"curve_points": 1}),
        methods=tuple(at_rate(method, rate) for method in study.request.methods for rate in study.rates),
        seeds=study.selection_seeds,
        split="selection",
        latency=False,
        out=study.request.out / SELECTION_FOLDER,
    )


def _final(study: Study, chosen: Choice) -> Request:
    return replace(
        study.request,
        methods=tuple(
            changed(method, learning_rate=chosen[method.name][0]) for method in study.request.methods
        ),
        seeds=study.final_seeds,
        split="final",
        latency=False,
        out=study.request.out / FINAL_FOLDER,
    )


def _validation_accuracy(run: RunDocument) -> float:
    if run.accuracy is None:
        raise StudyError(f"{run.method}, seed {run.seed}, has no validation accuracy")
    return run.accuracy.curve[-1][1]
