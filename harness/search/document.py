"""From the outcome of a search to its document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.search.contributions import Contribution, Contributions
from engine.search.evolution import Found
from engine.search.space import CLASSIFIER, Choice, describe
from harness.provenance import git_revision, host_description, package_versions, trainbench_version
from harness.results.search_document import (
    Candidate,
    Curve,
    Estimate,
    FreezeStep,
    Part,
    Scored,
    SearchDocument,
)
from harness.search.costing import Costing
from harness.search.evaluation import Evaluation
from harness.search.host_compiler import host_compiler
from harness.search.request import SearchRequest
from harness.search.scores import difference, mean_score
from harness.search.search import Outcome, freeze_costs
from harness.search.setting import TARGET
from harness.targets import load_target


def make_document(request: SearchRequest, outcome: Outcome, costing: Costing, started: str) -> SearchDocument:
    """Everything a report of the search says. started: ISO 8601."""
    setting = request.setting
    frozen = outcome.frozen
    return SearchDocument(
        method=request.method,  # type: ignore[arg-type]
        cost=request.cost,  # type: ignore[arg-type]
        budget=request.budget,
        seed=request.seed,
        evaluations=request.evaluations,
        network=request.backbone.name,
        model_digest=setting.model_digest,
        dataset_name=request.dataset_name,
        dataset_description=request.dataset_description,
        dataset_digest=setting.dataset_digest,
        rounding=setting.options.rounding,
        gradient=setting.options.gradient,
        convolutions=request.space.convolutions,
        layers=request.space.layers,
        depths=request.space.depths,
        ratios=request.space.ratios,
        measure=request.measure,
        epochs=setting.epochs,
        folds=setting.folds,
        seeds=request.seeds,
        learning_rate=outcome.rate.rate,
        rate_scores=tuple(outcome.rate.scores.items()),
        held_out_images=len(outcome.evaluations[CLASSIFIER][0].images),
        parts=_parts(request, outcome),
        candidates=tuple(
            _candidate(request, outcome, costing, name, choice, chosen=number == 0)
            for number, (name, choice) in enumerate(outcome.names)
        ),
        upper_bound=outcome.upper_bound,
        evolution=_curve(outcome.evolution, outcome.contributions, request.budget),
        random=_curve(outcome.random, outcome.contributions, request.budget),
        freezing=()
        if frozen is None
        else tuple(
            FreezeStep(label=describe(step.choice), score=step.score, kept=step.kept, cost=cost)
            for step, cost in zip(frozen.steps, freeze_costs(costing, frozen.steps), strict=True)
        ),
        threshold=None if frozen is None else request.threshold,
        overhead=costing.overhead,
        target=request.target or "",
        notes=outcome.notes,
        provenance=_provenance(started),
    )


def _parts(request: SearchRequest, outcome: Outcome) -> tuple[Part, ...]:
    if outcome.analysis is None:
        return ()
    found, parts = outcome.analysis.evaluations, []
    for choice, trained in found.items():
        if choice == CLASSIFIER:
            continue
        base = found[Choice(choice.depth) if choice.weights else CLASSIFIER]
        parts.append(
            Part(
                kind="weights" if choice.weights else "bias",
                trained=scored(choice, trained, found[CLASSIFIER], request.measure),
                contribution=_estimate(difference(trained, base, request.measure)),
                accuracy_contribution=_estimate(difference(trained, base, "accuracy")),
            )
        )
    return tuple(parts)


def _candidate(
    request: SearchRequest, outcome: Outcome, costing: Costing, name: str, choice: Choice, *, chosen: bool
) -> Candidate:
    return Candidate(
        name=name,
        chosen=chosen,
        total=_total(outcome.contributions, choice),
        cost=costing.cost(choice),
        planned_peak=costing.planned_peak(choice),
        measured_peak=costing.measured.get(choice),
        trained=scored(choice, outcome.evaluations[choice], outcome.evaluations[CLASSIFIER], request.measure),
    )


def _total(contributions: Contributions | None, choice: Choice) -> Estimate | None:
    """None where a part of the choice was not measured: a depth or ratio outside the space."""
    if contributions is None or choice.depth not in contributions.depths():
        return None
    if any(part not in contributions.weights for part in choice.weights):
        return None
    return Estimate(value=contributions.total(choice), error=contributions.error(choice))


def scored(
    choice: Choice, trained: Sequence[Evaluation], classifier: Sequence[Evaluation], measure: str
) -> Scored:
    """What training it gave, beside training the classifier alone."""
    loss = mean_score(trained, "loss")
    return Scored(
        label=describe(choice),
        bias_last=choice.depth,
        weights=choice.weights,
        extra_memory_analytic=trained[0].extra_memory_analytic,
        state_bytes=trained[0].state_bytes,
        arena_bytes=trained[0].arena_bytes,
        accuracy=mean_score(trained, "accuracy"),
        probability=mean_score(trained, "probability"),
        loss=None if loss is None else -loss,
        gain=_estimate(difference(trained, classifier, measure)),
        accuracy_gain=_estimate(difference(trained, classifier, "accuracy")),
    )


def _estimate(contribution: Contribution | None) -> Estimate | None:
    return None if contribution is None else Estimate(value=contribution.value, error=contribution.error)


def _curve(found: Found | None, contributions: Contributions | None, budget: int) -> Curve | None:
    if found is None or contributions is None:
        return None
    within = {(cost, contributions.total(choice)) for choice, cost in found.asked if cost <= budget}
    return Curve(progress=found.progress, within=tuple(sorted(within)))


def _provenance(started: str) -> dict[str, str]:
    revision, dirty = git_revision()
    versions = {name: str(version) for name, version in package_versions().items()}
    return {
        "started_at": started,
        "trainbench": trainbench_version(),
        "git_revision": revision or "",
        "git_dirty": "" if dirty is None else str(dirty).lower(),
        "host": host_description(),
        "compiler": host_compiler(load_target(TARGET)).version,
        "numpy": np.__version__,
        **versions,
    }
