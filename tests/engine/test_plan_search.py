import random
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_shapes_strategy import collide, shapes

from engine.plan_search import Placement, Problem, best_improvement, first_fit, greedy_placements
from engine.plan_shapes import Buffer, Part


def greedy_trap(count: int = 80) -> Problem:
    generator = random.Random(5)
    firsts = [(generator.randint(0, 60), generator.randint(1, 4000)) for _ in range(count)]
    buffers = [
        Buffer.box(f"b{i}", size, first, first + generator.randint(1, 20))
        for i, (first, size) in enumerate(firsts)
    ]
    return Problem.of(buffers, alignment=4)


def test_local_search_narrows_the_gap_that_greedy_leaves() -> None:
    problem = greedy_trap()
    greedy = greedy_placements(problem)
    searched = best_improvement(problem, greedy, evaluations=600)
    assert problem.lower_bound < searched.peak < greedy[0].peak
    assert searched.order_name.endswith("local search")
    assert first_fit(problem, searched.order, "again").offsets == searched.offsets


def test_local_search_without_evaluations_changes_nothing() -> None:
    problem = greedy_trap()
    greedy = greedy_placements(problem)
    assert best_improvement(problem, greedy, evaluations=0) == greedy[0]


def test_greedy_placements_are_sorted_by_peak() -> None:
    peaks = [placement.peak for placement in greedy_placements(greedy_trap())]
    assert len(peaks) == 6
    assert peaks == sorted(peaks)


@settings(max_examples=50)
@given(shapes(max_buffers=8, max_size=5, step=2), st.randoms(use_true_random=False))
def test_first_fit_takes_the_lowest_free_offset(buffers: list[Buffer], shuffler: random.Random) -> None:
    """Against a collision test by bytes: where it stands is free, and every offset below is not."""
    problem = Problem.of(buffers, alignment=1)
    order = list(range(len(buffers)))
    shuffler.shuffle(order)
    placement = first_fit(problem, tuple(order), "random")
    for place, index in enumerate(order):
        before = [(placement.offsets[i], problem.buffers[i]) for i in order[:place]]
        for offset in range(placement.offsets[index] + 1):
            free = not any(collide(offset, problem.buffers[index], low, other) for low, other in before)
            assert free == (offset == placement.offsets[index])


def test_first_fit_stops_above_the_limit() -> None:
    problem = Problem.of([Buffer.box(name, 8, 0, 1) for name in "abc"], alignment=4)
    stopped = first_fit(problem, (0, 1, 2), "by name", limit=12)
    assert stopped.peak == 16
    assert stopped.offsets == (0, 8, -1)


INTERLOCKED = [
    Buffer("a", (Part(2, 1, 0, 1), Part(0, 1, 1, 2))),
    Buffer("b", (Part(2, 1, 0, 1), Part(0, 1, 1, 2), Part(2, 1, 2, 3))),
    Buffer("c", (Part(0, 1, 0, 1), Part(0, 2, 1, 2))),
]


def test_no_order_gives_the_best_plan_of_shapes_that_reach_under_each_other() -> None:
    """What the solver is for; it finds 5 in test_plan_solver.py."""
    problem = Problem.of(INTERLOCKED, alignment=1)
    orders: list[Placement] = [first_fit(problem, order, "all") for order in permutations(range(3))]
    assert min(placement.peak for placement in orders) == 6


@pytest.mark.parametrize("index", range(6))
def test_each_greedy_order_is_a_permutation(index: int) -> None:
    problem = greedy_trap(12)
    assert sorted(greedy_placements(problem)[index].order) == list(range(12))
