import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_shapes_strategy import brute_force_peak, shapes

from engine.errors import PlanError
from engine.plan import Buffer, Part, Plan, lower_bound, plan_buffers
from engine.plan_check import check_plan

REPOSITORY = Path(__file__).resolve().parents[2]


@given(shapes(), st.sampled_from([1, 4, 16]))
def test_every_plan_holds(buffers: list[Buffer], alignment: int) -> None:
    plan = plan_buffers(buffers, alignment, evaluations=6, solver_budget=0)
    assert check_plan(buffers, plan) == []
    assert plan.lower_bound <= plan.peak
    assert plan.gap == plan.peak - plan.lower_bound
    assert plan.peak % alignment == 0


@given(shapes(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(buffers: list[Buffer], shuffler: random.Random) -> None:
    shuffled = list(buffers)
    shuffler.shuffle(shuffled)
    assert plan_buffers(buffers, evaluations=6, solver_budget=0) == plan_buffers(
        shuffled, evaluations=6, solver_budget=0
    )


@settings(max_examples=50)
@given(shapes(max_buffers=4, max_size=3, step=1))
def test_no_plan_beats_brute_force(buffers: list[Buffer]) -> None:
    plan = plan_buffers(buffers, alignment=1)
    assert plan.lower_bound <= brute_force_peak(buffers) <= plan.peak


def test_buffers_that_follow_each_other_share_their_bytes() -> None:
    plan = plan_buffers([Buffer.box("a", 10, 0, 1), Buffer.box("b", 8, 1, 2)])
    assert (plan.peak, plan.lower_bound, plan.gap) == (12, 12, 0)
    assert dict(plan.offsets) == {"a": 0, "b": 0}


def test_a_shape_leaves_room_that_its_bounding_box_would_not() -> None:
    """What moves up frees the bytes below it: a box would hold both for all of its life."""
    moving = Buffer("moving", (Part(0, 8, 0, 1), Part(8, 8, 1, 2), Part(0, 4, 2, 3)))
    beside = [Buffer.box("early", 8, 0, 1), Buffer.box("middle", 8, 1, 2), Buffer.box("late", 12, 2, 3)]
    boxed = Buffer.box("moving", moving.extent, moving.first, moving.last)
    assert plan_buffers([boxed, *beside]).peak == 28
    plan = plan_buffers([moving, *beside])
    assert check_plan([moving, *beside], plan) == []
    assert (plan.peak, plan.gap) == (16, 0)


def test_sizes_are_rounded_up_to_the_alignment() -> None:
    plan = plan_buffers([Buffer.box("a", 1, 0, 2), Buffer.box("b", 5, 0, 2)], alignment=4)
    assert plan.peak == plan.lower_bound == 12
    assert lower_bound([Buffer.box("a", 1, 0, 2), Buffer.box("b", 5, 0, 2)], alignment=8) == 16


def test_no_buffers_need_no_bytes() -> None:
    plan = plan_buffers([])
    assert (plan.peak, plan.lower_bound, plan.placements) == (0, 0, ())


def test_the_plan_is_the_same_under_two_hash_seeds() -> None:
    program = (
        "import random; from engine.plan import Buffer, plan_buffers; g = random.Random(2); "
        "f = [(g.randint(0, 60), g.randint(1, 4000)) for _ in range(40)]; "
        "print(plan_buffers([Buffer.box(f'b{i}', s, o, o + g.randint(1, 20)) for i, (o, s) in enumerate(f)]))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_a_start_off_the_alignment_is_refused() -> None:
    shape = Buffer("a", (Part(0, 8, 0, 1), Part(2, 4, 1, 2)))
    with pytest.raises(PlanError, match="a part of buffer a starts at 2, which is no multiple"):
        plan_buffers([shape])
    assert plan_buffers([shape], alignment=2).peak == 8


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(PlanError, match="two buffers are named a"):
        plan_buffers([Buffer.box("a", 1, 0, 1), Buffer.box("a", 2, 1, 2)])
    with pytest.raises(PlanError, match="power of two"):
        plan_buffers([], alignment=3)
    with pytest.raises(PlanError, match="power of two"):
        plan_buffers([], alignment=0)
    with pytest.raises(PlanError, match="-1 evaluations"):
        plan_buffers([], evaluations=-1)
    with pytest.raises(PlanError, match="solver's budget is -1"):
        plan_buffers([], solver_budget=-1)
    with pytest.raises(PlanError, match="solver's budget is inf"):
        plan_buffers([], solver_budget=float("inf"))


def test_offsets_cannot_be_changed() -> None:
    plan = Plan((("a", 0),), 4, 4, 4, "size", 4)
    with pytest.raises(TypeError):
        plan.offsets["a"] = 8  # type: ignore[index]
