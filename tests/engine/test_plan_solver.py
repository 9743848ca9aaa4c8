"""Known optima, proofs of infeasibility, and that the answer is a function of the input alone."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from plan_shapes_strategy import brute_force_peak, shapes

from engine import plan_solver
from engine.errors import PlanError
from engine.plan import Buffer, Part, Plan, plan_buffers
from engine.plan_check import check_plan
from engine.plan_search import Problem, greedy_placements
from engine.plan_solver import solve

REPOSITORY = Path(__file__).resolve().parents[2]

INTERLOCKED = [
    Buffer("a", (Part(2, 1, 0, 1), Part(0, 1, 1, 2))),
    Buffer("b", (Part(2, 1, 0, 1), Part(0, 1, 1, 2), Part(2, 1, 2, 3))),
    Buffer("c", (Part(0, 1, 0, 1), Part(0, 2, 1, 2))),
]
"""Of 4 bytes live at most; no plan needs fewer than 5, and first-fit in any order takes 6."""


def cut_rectangle(count: int, operators: int, units: int, seed: int) -> list[Buffer]:
    """A full rectangle cut into `count` boxes, so that a plan without any free byte is known to exist."""
    generator = random.Random(seed)
    boxes = [(0, operators, 0, units)]
    while len(boxes) < count:
        sizes = [(b - a) * (high - low) * generator.random() for a, b, low, high in boxes]
        a, b, low, high = boxes.pop(sizes.index(max(sizes)))
        if generator.random() < 0.5 and b - a > 1:
            middle = generator.randint(a + 1, b - 1)
            boxes += [(a, middle, low, high), (middle, b, low, high)]
        elif high - low > 1:
            middle = generator.randint(low + 1, high - 1)
            boxes += [(a, b, low, middle), (a, b, middle, high)]
        else:
            boxes.append((a, b, low, high))
    return [Buffer.box(f"b{i}", 4 * (high - low), a, b) for i, (a, b, low, high) in enumerate(sorted(boxes))]


@pytest.mark.parametrize("seed", range(3))
def test_a_plan_without_a_free_byte_is_found_where_greedy_fails(seed: int) -> None:
    buffers = cut_rectangle(40, 30, 1000, seed)
    greedy = plan_buffers(buffers, evaluations=0, solver_budget=0)
    assert greedy.gap > 0
    plan = plan_buffers(buffers, evaluations=0)
    assert (plan.peak, plan.gap, plan.order) == (4000, 0, "CP-SAT")
    assert plan.certificate == "optimal: equals the lower bound"
    assert check_plan(buffers, plan) == []


def test_infeasibility_at_the_bound_is_proved() -> None:
    plan = plan_buffers(INTERLOCKED, alignment=1)
    assert (plan.counted_bound, plan.lower_bound, plan.peak, plan.gap) == (4, 5, 5, 0)
    assert plan.certificate == "optimal: proved by CP-SAT"
    assert brute_force_peak(INTERLOCKED) == 5
    assert check_plan(INTERLOCKED, plan) == []


def test_without_the_solver_nothing_is_claimed() -> None:
    plan = plan_buffers(INTERLOCKED, alignment=1, solver_budget=0)
    assert (plan.lower_bound, plan.peak) == (4, 6)
    assert plan.certificate == "gap of 2 bytes, not proved"


@settings(max_examples=60, deadline=None)
@given(shapes(max_buffers=5, max_size=3, step=1))
def test_the_optimum_of_small_shapes_is_found_and_proved(buffers: list[Buffer]) -> None:
    plan = plan_buffers(buffers, alignment=1, evaluations=0)
    assert plan.gap == 0
    assert plan.peak == brute_force_peak(buffers)


def test_offsets_are_multiples_of_what_divides_all_sizes() -> None:
    scaled = [
        Buffer(b.name, tuple(Part(48 * p.start, 48 * p.size, p.first, p.last) for p in b.parts))
        for b in INTERLOCKED
    ]
    plan = plan_buffers(scaled)
    assert (plan.peak, plan.lower_bound) == (5 * 48, 5 * 48)
    assert {offset % 48 for offset in plan.offsets.values()} == {0}


def test_a_budget_that_runs_out_leaves_a_gap_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_solver, "_FIRST_RUN", 1e-9)
    buffers = cut_rectangle(140, 40, 1000, 5)
    plan = plan_buffers(buffers, evaluations=0, solver_budget=4e-9)
    assert plan.gap > 0
    assert plan.lower_bound == plan.counted_bound == 4000
    assert plan.certificate == f"gap of {plan.gap} bytes, not proved"
    assert check_plan(buffers, plan) == []


def test_a_run_cut_by_time_is_an_error_and_not_another_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_solver, "_WALL_GUARD", 0.0)
    problem = Problem.of(cut_rectangle(140, 40, 1000, 5), alignment=4)
    with pytest.raises(PlanError, match="CP-SAT did not place 140 buffers in 4000 bytes"):
        solve(problem, greedy_placements(problem)[0], budget=0.4)


def test_runs_get_longer_and_add_up_to_the_budget() -> None:
    lengths = list(plan_solver._run_lengths(0.5))
    assert sum(lengths) == pytest.approx(0.5)
    assert lengths[:6] == [0.01] * 6
    assert max(lengths) > 0.01


def test_the_solver_gives_the_same_plan_under_two_hash_seeds() -> None:
    program = (
        "import random; from engine.plan import Buffer, plan_buffers; g = random.Random(2); "
        "f = [(g.randint(0, 60), g.randint(1, 4000)) for _ in range(60)]; "
        "print(plan_buffers([Buffer.box(f'b{i}', s, o, o + g.randint(1, 20)) "
        "for i, (o, s) in enumerate(f)], evaluations=0))"
    )
    texts = {_output(program, seed) for seed in ("1", "2")}
    assert len(texts) == 1
    assert "CP-SAT" in texts.pop()


def test_an_easy_plan_does_not_load_the_solver() -> None:
    program = (
        "import sys; from engine.plan import Buffer, plan_buffers; "
        "plan_buffers([Buffer.box('a', 4, 0, 1)]); print('ortools' in sys.modules)"
    )
    assert _output(program, "0").strip() == "False"


def _output(program: str, hash_seed: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=True,
        timeout=120,
        text=True,
    ).stdout


def test_one_buffer_needs_no_solver() -> None:
    assert plan_buffers([Buffer.box("a", 5, 0, 1)]) == Plan((("a", 0),), 8, 8, 8, "size", 4)
