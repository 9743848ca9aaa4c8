"""The parts of a paper suite: the runs that its cells are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fixtures.datasets import Report
from fixtures.paper import find_network
from harness.paper.options import PaperOptions, wanted_methods
from harness.paper.suite import Accuracy, Column, Cost, PaperSuite, Reduced
from harness.run.request import processor_cores, read_inputs
from harness.run.runner import Request
from harness.run.session import STEP_SECONDS
from harness.suite import Method, Study, Suite

Protocol = Literal["cost", "accuracy"]

HOST = "host"
NO_REFERENCE = ""
"""As a suite's reference: no target trains the whole course."""
PROPORTIONAL = ("sgd", "momentum")
"""Rules whose steps are proportional to the gradient."""


@dataclass(frozen=True)
class Part:
    """Cells that run together: one network, one dataset, one protocol."""

    protocol: Protocol
    network: str
    dataset: str
    """Empty for costs, which are of no dataset."""
    request: Request
    study: Study | None = None
    """How accuracies are taken; None for costs."""
    note: str = ""
    """What is to be said beside every figure; empty: nothing."""


def cost_parts(
    suite: PaperSuite, network: str, backbone: Path, out: Path, options: PaperOptions
) -> Iterator[Part]:
    """One part on the emulators, and one on the host for float32 networks, of which the plan alone counts."""
    cost = suite.cost
    able = [method for method in wanted_methods(suite, network, options.methods) if not method.unable]
    if cost is None or not able:
        return
    inputs = read_inputs(suite.name, backbone, cost.dataset, cost.classes)
    for folder, targets, precision in (
        ("cost", options.targets or cost.targets, "int8"),
        ("plan", (HOST,), "fp32"),
    ):
        methods = tuple(method.plain() for method in able if method.precision == precision)
        if not methods:
            continue
        request = Request(
            suite=_suite_of_costs(suite, cost, network, methods, options.steps),
            inputs=inputs,
            targets=tuple(dict.fromkeys(targets)),
            methods=methods,
            seeds=(cost.seed,),
            out=out / network / folder,
            sram_budget=None,
            parallel=options.parallel or processor_cores(),
            step_seconds=options.step_seconds or STEP_SECONDS,
            latency=precision == "int8",
            profile=False,
        )
        yield Part("cost", network, "", request)


def accuracy_parts(
    suite: PaperSuite, network: str, backbone: Path, out: Path, options: PaperOptions, report: Report
) -> Iterator[Part]:
    """One part for each dataset that is given."""
    accuracy = suite.accuracy
    able = [method for method in wanted_methods(suite, network, options.methods) if not method.unable]
    if accuracy is None or not able:
        return
    reduced = suite.reduced if options.reduced else None
    methods = tuple(with_grid(method.plain(), accuracy, reduced) for method in able)
    for column in accuracy.datasets:
        specification = options.datasets.get(column.name)
        if specification is None:
            continue
        if reduced is not None:
            specification = f"sample:{reduced.sample}:{specification}"
        course = _course(accuracy, column, reduced)
        request = Request(
            suite=_suite_of_accuracy(suite, network, methods, specification, course),
            inputs=read_inputs(suite.name, backbone, specification, report=report),
            targets=(HOST,),
            methods=methods,
            seeds=tuple(range(course.seeds)),
            out=out / network / column.name,
            sram_budget=None,
            parallel=options.parallel or processor_cores(),
            step_seconds=options.step_seconds or STEP_SECONDS,
            latency=False,
        )
        yield Part(
            "accuracy",
            network,
            column.name,
            request,
            study=Study(
                learning_rates=accuracy.learning_rates,
                selection_seeds=accuracy.selection_seeds,
                seeds=course.seeds,
            ),
            note=describe_reduction(suite, options),
        )


def describe_reduction(suite: PaperSuite, options: PaperOptions) -> str:
    """What --reduced leaves of each dataset, as it is told beside every figure; empty: nothing is reduced."""
    reduced = suite.reduced
    if not options.reduced or reduced is None:
        return ""
    train, validation, test = (int(part) for part in reduced.sample.split("/"))
    seeds = f"{reduced.seeds} seed{'s' if reduced.seeds > 1 else ''}"
    batch = f" updates of at most {reduced.accumulate} images," if reduced.accumulate else ""
    return (
        f"reduced: {train + validation} training images, {reduced.warmup_epochs} + {reduced.epochs} epochs,"
        f"{batch} {seeds}, tested on {test} images"
    )


def with_grid(method: Method, accuracy: Accuracy, reduced: Reduced | None) -> Method:
    """`method` with its grid of learning rates.

    In a reduced form with fewer images per update, steps of plain gradients are smaller in proportion; those
    of rules that normalize gradients are as they were.
    """
    grid = method.learning_rates or accuracy.learning_rates
    most = reduced.accumulate if reduced is not None else None
    if most is None or method.accumulate <= most:
        return method.model_copy(update={"learning_rates": grid})
    share = most / method.accumulate if method.rule in PROPORTIONAL else 1.0
    rates = tuple(rate * share for rate in grid)
    return method.model_copy(update={"accumulate": most, "learning_rates": rates})


@dataclass(frozen=True)
class _Course:
    epochs: int
    warmup_epochs: int
    seeds: int


def _course(accuracy: Accuracy, column: Column, reduced: Reduced | None) -> _Course:
    """Of the reduced form, of the dataset, or of all."""
    if reduced is not None:
        return _Course(reduced.epochs, reduced.warmup_epochs, reduced.seeds)
    warmup = accuracy.warmup_epochs if column.warmup_epochs is None else column.warmup_epochs
    return _Course(column.epochs or accuracy.epochs, warmup, accuracy.seeds)


def _suite_of_costs(
    suite: PaperSuite, cost: Cost, network: str, methods: tuple[Method, ...], steps: int | None
) -> Suite:
    return Suite(
        name=suite.name,
        title=suite.title,
        description=suite.description,
        folder=suite.folder,
        backbone=find_network(network).file,
        dataset=cost.dataset,
        targets=cost.targets,
        reference=NO_REFERENCE,
        seeds=(cost.seed,),
        device_steps=steps or cost.steps,
        device_predictions=1,
        epochs=1,
        methods=methods,
    )


def _suite_of_accuracy(
    suite: PaperSuite, network: str, methods: tuple[Method, ...], specification: str, course: _Course
) -> Suite:
    return Suite(
        name=suite.name,
        title=suite.title,
        description=suite.description,
        folder=suite.folder,
        backbone=find_network(network).file,
        dataset=specification,
        targets=(HOST,),
        reference=HOST,
        seeds=tuple(range(course.seeds)),
        device_steps=30,
        device_predictions=1,
        epochs=course.epochs,
        warmup_epochs=course.warmup_epochs,
        methods=methods,
    )
