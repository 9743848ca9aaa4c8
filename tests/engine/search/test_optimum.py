from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from search_problems import best_by_trying, problems

from engine.search.contributions import Contributions
from engine.search.costs import AdditiveCosts
from engine.search.optimum import optimum

Problem = tuple[Contributions, AdditiveCosts]


@given(problems(), st.integers(0, 250))
def test_it_is_what_trying_everything_finds(problem: Problem, budget: int) -> None:
    contributions, costs = problem
    found = optimum(contributions, costs, budget)
    best = best_by_trying(contributions, costs, budget)
    if found is None:
        assert best is None
    else:
        assert costs.bytes(found) <= budget
        assert contributions.total(found) == best


@given(problems(), st.integers(0, 250), st.integers(0, 50))
def test_a_larger_budget_is_never_worse(problem: Problem, budget: int, more: int) -> None:
    contributions, costs = problem
    small, large = (optimum(contributions, costs, size) for size in (budget, budget + more))
    if small is not None:
        assert large is not None
        assert contributions.total(large) >= contributions.total(small)
