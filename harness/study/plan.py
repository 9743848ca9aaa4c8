"""What a study runs: the request, the grids, the folds; and how many trainings that makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.errors import UsageError
from harness.results.study import Reference
from harness.run.request import read_inputs
from harness.run.runner import Request
from harness.study.candidates import first_candidates
from harness.study.variants import Options, changed, references, variant_references, variants
from harness.suite import Method, Study

DEFAULT_RATES = (1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3)
"""Step sizes per image. The paper's grid of 0.05 to 0.4 a batch of 256 lies inside."""


@dataclass(frozen=True)
class StudyPlan:
    """What is asked for. The methods of `request` are variants with their grids, without chosen rates."""

    request: Request
    references: Mapping[str, Reference]
    """By method: the variant it is held against, beside the baseline."""
    against: tuple[str, ...]
    """Methods that all others are held against."""
    selection_seeds: tuple[int, ...]
    selection_folds: int
    final_seeds: tuple[int, ...]
    folds: int = 1
    """1: the dataset's own split."""
    measure_on: str = ""
    """Target on which SRAM and ticks are taken; empty: none."""


def make_plan(request: Request, options: Options, rates: tuple[float, ...], settings: Study) -> StudyPlan:
    """Check the parts and name the variants; raises UsageError for a grid that cannot be used.

    `rates`: what replaces the grids that methods and suite declare; empty: nothing.
    """
    if rates and min(rates) <= 0:
        raise UsageError(f"learning rates have to be positive, not {', '.join(map(str, rates))}")
    methods = tuple(
        changed(
            method, learning_rates=rates or method.learning_rates or settings.learning_rates or DEFAULT_RATES
        )
        for method in variants(request.methods, options)
    )
    return StudyPlan(
        # Only the last point of a learning curve is looked at.
        request=replace(request, methods=methods, suite=request.suite.model_copy(update={"curve_points": 1})),
        references={
            **variant_references([method.name for method in methods], request.suite.variants),
            **references(request.methods, options),
        },
        against=tuple(name for name in settings.against if any(name == m.name for m in methods)),
        selection_seeds=tuple(range(settings.selection_seeds)),
        selection_folds=settings.selection_folds,
        final_seeds=tuple(range(settings.seeds)),
        folds=settings.folds,
        measure_on=settings.measure_on,
    )


def fold_plans(plan: StudyPlan) -> list[StudyPlan]:
    """One plan a test part, each in a folder of its own; the plan itself with the dataset's own split."""
    if plan.folds == 1:
        return [plan]
    request = plan.request
    parts = []
    for number in range(1, plan.folds + 1):
        dataset = f"fold:{number}/{plan.folds}:{request.inputs.dataset}"
        inputs = read_inputs(request.suite.name, request.inputs.backbone, dataset)
        folder = request.out / f"fold-{number}-of-{plan.folds}"
        parts.append(replace(plan, request=replace(request, inputs=inputs, out=folder), folds=1))
    return parts


@dataclass(frozen=True)
class Amount:
    """How much a study runs."""

    selection: int
    """Trainings to choose rates."""
    final: int
    """Trainings that are tested."""
    measured: int
    """At most so many firmwares are measured."""

    def __str__(self) -> str:
        measured = f", and {self.measured} firmwares measured" if self.measured else ""
        return f"{self.selection} trainings to choose rates, {self.final} to test{measured}"


def amount(plan: StudyPlan) -> Amount:
    """What `plan` comes to when nothing of it is finished."""
    methods = plan.request.methods
    tried = sum(map(_candidates, methods)) * len(plan.selection_seeds) * plan.selection_folds
    return Amount(
        tried * plan.folds,
        len(methods) * len(plan.final_seeds) * plan.folds,
        sum(is_measurable(method) for method in methods) if plan.measure_on else 0,
    )


def is_measurable(method: Method) -> bool:
    """Float32 networks exist on the host alone."""
    return method.precision == "int8"


def _candidates(method: Method) -> int:
    first = len(first_candidates(method))
    return first + len(method.learning_rates) - 1 if method.convolution_rates else first
