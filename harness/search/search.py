"""A whole search: costs first, then trials, then the choice, then trials of what was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.search.contributions import Contributions
from engine.search.evolution import Found, NothingFitsError, evolve, random_search
from engine.search.freeze import Frozen, Step, everything, freeze_greedily, freeze_in_order
from engine.search.space import CLASSIFIER, Choice, describe, from_scheme
from harness.errors import BuildError
from harness.run.execute import NoRoomError
from harness.search.analysis import (
    Analysis,
    NoRateError,
    RateChoice,
    analyse,
    choose_rate,
    diverged_notes,
    edge_notes,
    probes,
)
from harness.search.costing import Costing, search_within
from harness.search.evaluation import Evaluation
from harness.search.laboratory import Laboratory
from harness.search.request import SearchRequest
from harness.search.scores import mean_score


@dataclass(frozen=True)
class Outcome:
    """What came of a search. names: of the schemes it ends with, the chosen one first."""

    rate: RateChoice
    analysis: Analysis | None
    names: tuple[tuple[str, Choice], ...]
    evaluations: dict[Choice, list[Evaluation]]
    evolution: Found | None
    random: Found | None
    frozen: Frozen | None
    upper_bound: float | None
    notes: tuple[str, ...]

    @property
    def contributions(self) -> Contributions | None:
        return None if self.analysis is None else self.analysis.contributions


def run_search(request: SearchRequest, laboratory: Laboratory, costing: Costing) -> Outcome:
    """Raises NothingFitsError before anything is trained, NoRateError where nothing can be."""
    _check_budget(request, costing)
    if request.method == "freeze":
        return _freeze(request, laboratory, costing)
    rate = choose_rate(laboratory, probes(request.space), request.rates, request.seeds[0], request.measure)
    analysis = analyse(laboratory, request.space, rate, request.seeds, request.measure)
    contributions = analysis.contributions
    laboratory.watcher.stage("searching", 2, 0)
    evolved = search_within(costing, lambda: _evolve(request, contributions, costing))
    laboratory.watcher.done("evolution")
    drawn = _random(request, contributions, costing)
    laboratory.watcher.done("random search")
    best, bound = costing.best(contributions)
    names = [("evolution", evolved.best), ("random", drawn.best)]
    if request.method == "random":
        names.reverse()
    names += [("optimum", best)] if best is not None else []
    names += _beside(request)
    return Outcome(
        rate=rate,
        analysis=analysis,
        names=tuple(names),
        evaluations=_finish(request, laboratory, costing, rate, names),
        evolution=evolved,
        random=drawn,
        frozen=None,
        upper_bound=bound,
        notes=(*edge_notes(rate), *diverged_notes(analysis)),
    )


def _check_budget(request: SearchRequest, costing: Costing) -> None:
    """Before hours of training: does anything fit at all?"""
    costing.measure(CLASSIFIER)
    costing.reckon()
    smallest = costing.cost(CLASSIFIER)
    if smallest > request.budget:
        raise NothingFitsError(
            f"no scheme meets a budget of {request.budget} bytes ({request.cost}): the smallest possible, the"
            f" classifier alone, needs {smallest} bytes"
        )


def _evolve(request: SearchRequest, contributions: Contributions, costing: Costing) -> Found:
    return evolve(contributions, costing.costs, request.budget, request.seed, request.evaluations)


def _random(request: SearchRequest, contributions: Contributions, costing: Costing) -> Found:
    return random_search(contributions, costing.costs, request.budget, request.seed, request.evaluations)


def _freeze(request: SearchRequest, laboratory: Laboratory, costing: Costing) -> Outcome:
    space, start = request.space, everything(request.space)
    rate = choose_rate(laboratory, (start,), request.rates, request.seeds[0], request.measure)
    analysis = None
    if request.order == "contribution":
        analysis = analyse(laboratory, space, rate, request.seeds, request.measure)

    def scores(choices: Sequence[Choice]) -> list[float | None]:
        found = laboratory.scores_of("freezing", choices, rate.rate, request.seeds)
        return [mean_score(found[choice], request.measure) for choice in choices]

    (start_score,) = scores([start])
    if start_score is None:
        raise NoRateError(
            f"training everything diverged at a learning rate of {rate.rate:g}; give a lower one"
        )
    if request.order == "greedy":
        frozen = freeze_greedily(space, scores, start_score, request.threshold)
    else:
        order = _by_contribution(analysis) if analysis is not None else _by_memory(request, costing)
        frozen = freeze_in_order(space, order, scores, start_score, request.threshold)
    names = [("freeze", frozen.choice), ("everything", start), *_beside(request)]
    notes = [*edge_notes(rate), *(diverged_notes(analysis) if analysis is not None else ())]
    cost = costing.cost(frozen.choice)
    if cost > request.budget:
        notes.append(
            f"what remains needs {cost} bytes, {cost - request.budget} more than the budget: freezing stops"
            " where the score dips, whatever the budget"
        )
    return Outcome(
        rate=rate,
        analysis=analysis,
        names=tuple(names),
        evaluations=_finish(request, laboratory, costing, rate, names),
        evolution=None,
        random=None,
        frozen=frozen,
        upper_bound=None,
        notes=tuple(notes),
    )


def _by_contribution(analysis: Analysis) -> list[int]:
    """Layers by what their whole weights contribute, the least first; what diverged before all."""
    contributions, space = analysis.contributions, analysis.contributions.space
    ratio = space.ratios[-1]

    def contribution(layer: int) -> float:
        found = contributions.weights.get((layer, ratio))
        return float("-inf") if found is None else found.value

    return sorted(space.layers, key=lambda layer: (contribution(layer), layer))


def _by_memory(request: SearchRequest, costing: Costing) -> list[int]:
    """Layers by the extra memory of their whole weights, the most first."""
    space, ratio = request.space, request.space.ratios[-1]

    def memory(layer: int) -> int:
        depth = space.depth_of(layer)
        return costing.extra_memory(Choice(depth, ((layer, ratio),))) - costing.extra_memory(Choice(depth))

    return sorted(space.layers, key=lambda layer: (-memory(layer), layer))


def _beside(request: SearchRequest) -> list[tuple[str, Choice]]:
    """Schemes to compare with, by name."""
    return [*((scheme.name, from_scheme(scheme)) for scheme in request.compare), ("last-layer", CLASSIFIER)]


def _finish(
    request: SearchRequest,
    laboratory: Laboratory,
    costing: Costing,
    rate: RateChoice,
    names: Sequence[tuple[str, Choice]],
) -> dict[Choice, list[Evaluation]]:
    """Train all schemes of the result and measure them on the target."""
    choices = list(dict.fromkeys(choice for _, choice in names))
    found = laboratory.scores_of("training what was found", choices, rate.rate, request.seeds)
    if request.target is not None:
        laboratory.watcher.stage(f"measuring SRAM on {request.target}", len(choices), 0)
        for choice in choices:
            laboratory.watcher.done(describe(choice), _measure(costing, choice))
    return found


def _measure(costing: Costing, choice: Choice) -> str:
    """Measure it on the target; why not, where it has no room there."""
    try:
        costing.measure(choice)
    except (NoRoomError, BuildError) as error:
        return str(error)
    return ""


def freeze_costs(costing: Costing, steps: Sequence[Step]) -> list[int]:
    """What the budget limits, of what every step would leave."""
    return [costing.cost(step.choice) for step in steps]
