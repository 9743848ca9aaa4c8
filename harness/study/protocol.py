"""The accuracy protocol: learning rates for each method from validation data, then held-out accuracy.

1. Selection: train at the rates of the method's grid (`candidates`), test on validation images: the dataset's
   validation part, or each fold of all that is not tested, in turn. The test part is not looked at. The rates
   with the best accuracy over the selection seeds and folds are taken; of equal ones the smallest.
2. Final: train on the training and validation parts together at these rates, with the final seeds; test once.
3. Measured: each firmware runs for a short while on the target that was asked for (`measured`).

With several folds the first two are done for each fold on its own (its rates are chosen without its test
part), and the test images of all folds are pooled: each image is tested once a seed, by a network that never
saw it.

All trainings are on the suite's reference target at batch 1, through the same cells as `trainbench run`; what
is finished in the folder is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from harness.results.document import RunDocument
from harness.results.study import Protocol, StudyDocument
from harness.run.builds import Builds
from harness.run.folder import locked
from harness.run.request import check_targets
from harness.run.runner import BUILD_FOLDER, Request, Watcher, run_suite
from harness.study.candidates import (
    Rates,
    at_rates,
    best_score,
    candidate,
    edge_warnings,
    failure_warnings,
    first_candidates,
    scores,
    second_candidates,
)
from harness.study.estimate import remaining
from harness.study.measured import Measurements, measure
from harness.study.plan import StudyPlan, amount, fold_plans
from harness.study.rows import Choice, make_rows
from harness.study.variants import BASELINE

SELECTION_FOLDER = "selection"
FINAL_FOLDER = "final"


def run_study(
    plan: StudyPlan, watcher: Watcher, say: Callable[[str], None] = lambda text: None
) -> StudyDocument:
    """Select, train, measure, compare. `say` hears how much there is to do.

    Raises StudyError where every rate of a method's grid failed, or no method gave an accuracy.
    """
    if plan.measure_on:
        check_targets((plan.measure_on,))
    say(f"{amount(plan)}; what is finished is kept")
    choices: list[Choice] = []
    finals: list[list[RunDocument]] = []
    measured = Measurements({}, {}, ())
    with locked(plan.request.out):
        builds = Builds(plan.request.out / BUILD_FOLDER)
        parts = fold_plans(plan)
        for number, part in enumerate(parts):
            choice, selected = _select(part, watcher, builds)
            choices.append(choice)
            say(remaining(part, selected, further_folds=len(parts) - number - 1))
            final = final_request(part, choice)
            finals.append(run_suite(final, watcher, builds))
            if number == 0 and plan.measure_on:
                measured = measure(final, finals[0], plan.measure_on, watcher, builds)
    return _document(plan, choices, finals, measured)


def _select(plan: StudyPlan, watcher: Watcher, builds: Builds) -> tuple[Choice, list[RunDocument]]:
    """The choice for every method, and all documents it was made from."""
    methods = plan.request.methods
    first = {method.name: first_candidates(method) for method in methods}
    selected = _run_candidates(plan, first, watcher, builds)
    found = {method.name: scores(method, first[method.name], selected) for method in methods}
    second = {method.name: second_candidates(method, found[method.name]) for method in methods}
    if any(second.values()):
        selected = [*selected, *_run_candidates(plan, second, watcher, builds)]
        for method in methods:
            found[method.name] += scores(method, second[method.name], selected)
    best = {method.name: best_score(method, found[method.name]).rates for method in methods}
    return Choice(best, found), selected


def _run_candidates(
    plan: StudyPlan, tried: dict[str, tuple[Rates, ...]], watcher: Watcher, builds: Builds
) -> list[RunDocument]:
    documents: list[RunDocument] = []
    for fold in selection_folds(plan):
        documents += run_suite(selection_request(plan, tried, fold), watcher, builds)
    return documents


def selection_folds(plan: StudyPlan) -> tuple[tuple[int, int] | None, ...]:
    """What validates, run by run; None: the dataset's own validation part."""
    count = plan.selection_folds
    return (None,) if count == 1 else tuple((number, count) for number in range(1, count + 1))


def selection_request(
    plan: StudyPlan, tried: dict[str, tuple[Rates, ...]], fold: tuple[int, int] | None
) -> Request:
    """Train the methods at the rates that are tried, and test on validation images."""
    folder = plan.request.out / SELECTION_FOLDER
    return replace(
        plan.request,
        methods=tuple(
            candidate(method, rates) for method in plan.request.methods for rates in tried[method.name]
        ),
        seeds=plan.selection_seeds,
        split="selection",
        fold=fold,
        latency=False,
        out=folder if fold is None else folder / f"{fold[0]}-of-{fold[1]}",
    )


def final_request(plan: StudyPlan, choice: Choice) -> Request:
    """Train the methods at their chosen rates, and test."""
    return replace(
        plan.request,
        methods=tuple(at_rates(method, choice.rates[method.name]) for method in plan.request.methods),
        seeds=plan.final_seeds,
        split="final",
        latency=False,
        out=plan.request.out / FINAL_FOLDER,
    )


def _document(
    plan: StudyPlan,
    choices: Sequence[Choice],
    finals: Sequence[Sequence[RunDocument]],
    measured: Measurements,
) -> StudyDocument:
    methods, suite = plan.request.methods, plan.request.suite
    rows = make_rows(
        methods, choices, finals, plan.references, plan.against, measured.found, measured.reasons
    )
    warnings = [
        warning
        for choice in choices
        for warning in (
            *edge_warnings(methods, choice.rates),
            *failure_warnings(methods, choice.scores),
        )
    ]
    warnings += [f"{row.method} has no accuracy: {row.reason}" for row in rows if row.reason]
    tested = next(run for run in finals[0] if run.accuracy is not None)
    course = suite.course(methods[0])
    return StudyDocument(
        suite=suite.name,
        title=suite.title,
        baseline=BASELINE,
        against=plan.against,
        protocol=Protocol(
            folds=plan.folds,
            selection_folds=plan.selection_folds,
            selection_seeds=len(plan.selection_seeds),
            seeds=len(plan.final_seeds),
            epochs=course.epochs,
            warmup_epochs=course.warmup_epochs,
            schedule=course.schedule,
            flips=course.flips,
            train_images=tested.accuracy.train_images if tested.accuracy else 0,
            test_images=next(row.after.images for row in rows if row.after is not None),
        ),
        measured_on=plan.measure_on,
        rows=rows,
        warnings=tuple(dict.fromkeys(warnings)),
        provenance=tested.provenance,
        measured_provenance=measured.documents[0].provenance if measured.documents else None,
    )
