from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_problems import best_by_trying, problems

from engine.search.contributions import Contribution, Contributions
from engine.search.costs import AdditiveCosts
from engine.search.evolution import BATCH, Costs, NothingFitsError, evolve, random_search, summary
from engine.search.optimum import optimum
from engine.search.space import CLASSIFIER, Choice, Space

Problem = tuple[Contributions, AdditiveCosts]


def asking(costs: AdditiveCosts) -> Costs:
    return lambda choices: [costs.bytes(choice) for choice in choices]


def large_problem(seed: int) -> Problem:
    """As large as MCUNet: 13 layers at four ratios, 15 depths."""
    generator = np.random.default_rng(seed)
    space = Space(42, (0, *range(3, 43, 3)), tuple(range(3, 42, 3)), (0.125, 0.25, 0.5, 1.0))
    bias = {
        d: Contribution(0.005 * np.log1p(d) + generator.normal(0, 0.002), 0.001) for d in space.depths[1:]
    }
    parts = [(layer, ratio) for layer in space.layers for ratio in space.ratios]
    weights = {(n, r): Contribution(generator.exponential(0.004) * r**0.5, 0.001) for n, r in parts}
    sizes = {layer: int(generator.integers(40_000, 600_000)) for layer in space.layers}
    costs = AdditiveCosts(
        1000, {d: 9_000 * d for d in space.depths[1:]}, {(n, r): int(sizes[n] * r) for n, r in parts}
    )
    return Contributions(space, bias, weights), costs


@settings(max_examples=15, deadline=None)
@given(problems(), st.integers(0, 250), st.integers(0, 3))
def test_on_small_problems_both_find_what_trying_everything_finds(
    problem: Problem, budget: int, seed: int
) -> None:
    contributions, costs = problem
    best = best_by_trying(contributions, costs, budget)
    for search in (evolve, random_search):
        if best is None:
            with pytest.raises(
                NothingFitsError, match=f"the classifier alone, needs {costs.bytes(CLASSIFIER)}"
            ):
                search(contributions, asking(costs), budget, seed)
            continue
        found = search(contributions, asking(costs), budget, seed)
        assert found.cost == costs.bytes(found.best) <= budget
        assert found.total == best


@pytest.mark.parametrize("seed", range(3))
def test_on_a_large_one_it_comes_near_the_optimum_and_beats_random_search(seed: int) -> None:
    contributions, costs = large_problem(seed)
    budget = 100 * 1024
    best = optimum(contributions, costs, budget)
    assert best is not None
    evolved, drawn = (f(contributions, asking(costs), budget, seed) for f in (evolve, random_search))
    assert evolved.cost <= budget
    assert drawn.total < evolved.total <= contributions.total(best)
    assert evolved.total >= 0.97 * contributions.total(best)
    assert evolved.evaluations == drawn.evaluations


def test_the_same_seed_asks_the_same_in_the_same_order() -> None:
    contributions, costs = large_problem(0)
    asked: list[list[Choice]] = [[], [], []]
    for record, seed in zip(asked, (5, 5, 6), strict=True):

        def ask(choices: Sequence[Choice], record: list[Choice] = record) -> list[int]:
            record.extend(choices)
            return [costs.bytes(choice) for choice in choices]

        evolve(contributions, ask, 100_000, seed, evaluations=300)
    assert asked[0] == asked[1] != asked[2]
    assert len(asked[0]) == len(set(asked[0])) == 300


def test_a_cost_above_the_budget_may_be_a_lower_bound() -> None:
    contributions, costs = large_problem(1)
    budget = 60_000

    def bounded(choices: Sequence[Choice]) -> list[int]:
        return [min(costs.bytes(choice), budget + 1) for choice in choices]

    exact = evolve(contributions, asking(costs), budget, 1, evaluations=400)
    assert evolve(contributions, bounded, budget, 1, evaluations=400).best == exact.best


def test_progress_never_falls_and_ends_at_what_was_found() -> None:
    contributions, costs = large_problem(2)
    found = evolve(contributions, asking(costs), 100_000, 2, evaluations=500)
    totals = [total for _, total in found.progress]
    assert totals == sorted(totals)
    assert found.progress[-1] == (found.evaluations, found.total)
    assert found.evaluations == 500
    assert len(found.progress) > 300 // BATCH
    assert f"{found.cost} bytes" in summary(found)
