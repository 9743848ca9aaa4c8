import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PlanError
from engine.plan import Buffer, Part, Plan, lower_bound, plan_buffers
from engine.plan_check import check_plan

REPOSITORY = Path(__file__).resolve().parents[2]


@st.composite
def shapes(draw: st.DrawFn, max_buffers: int = 12, max_size: int = 64, step: int = 16) -> list[Buffer]:
    """Buffers of one to three parts; starts are multiples of `step`."""
    buffers = []
    for i in range(draw(st.integers(0, max_buffers))):
        operator = draw(st.integers(0, 9))
        parts = []
        for _ in range(draw(st.integers(1, 3))):
            length = draw(st.integers(1, 4))
            start = step * draw(st.integers(0, 3))
            parts.append(Part(start, draw(st.integers(1, max_size)), operator, operator + length))
            operator += length
        lowest = min(part.start for part in parts)
        buffers.append(Buffer(f"b{i}", tuple(replace(p, start=p.start - lowest) for p in parts)))
    return buffers


def collide(offset: int, a: Buffer, other_offset: int, b: Buffer) -> bool:
    """By the bytes of each operator, one at a time."""

    def taken(base: int, buffer: Buffer) -> set[tuple[int, int]]:
        return {
            (operator, base + part.start + byte)
            for part in buffer.parts
            for operator in range(part.first, part.last)
            for byte in range(part.size)
        }

    return bool(taken(offset, a) & taken(other_offset, b))


def brute_force_peak(buffers: list[Buffer]) -> int:
    """The least peak over all plans at alignment 1, by trying every offset of every buffer."""

    def fits(peak: int, placed: list[tuple[int, Buffer]]) -> bool:
        if len(placed) == len(buffers):
            return True
        buffer = buffers[len(placed)]
        return any(
            not any(collide(offset, buffer, other, neighbour) for other, neighbour in placed)
            and fits(peak, [*placed, (offset, buffer)])
            for offset in range(peak - buffer.extent + 1)
        )

    peak = 0
    while not fits(peak, []):
        peak += 1
    return peak


@given(shapes(), st.sampled_from([1, 4, 16]))
def test_every_plan_holds(buffers: list[Buffer], alignment: int) -> None:
    plan = plan_buffers(buffers, alignment, evaluations=60)
    assert check_plan(buffers, plan) == []
    assert plan.lower_bound <= plan.peak
    assert plan.gap == plan.peak - plan.lower_bound
    assert plan.peak % alignment == 0


@given(shapes(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(buffers: list[Buffer], shuffler: random.Random) -> None:
    shuffled = list(buffers)
    shuffler.shuffle(shuffled)
    assert plan_buffers(buffers, evaluations=60) == plan_buffers(shuffled, evaluations=60)


@settings(max_examples=50)
@given(shapes(max_buffers=4, max_size=3, step=1))
def test_no_plan_beats_brute_force(buffers: list[Buffer]) -> None:
    plan = plan_buffers(buffers, alignment=1)
    assert plan.lower_bound <= brute_force_peak(buffers) <= plan.peak


def test_the_optimum_is_reached_on_fixed_tiny_cases() -> None:
    generator = random.Random(7)
    for _ in range(60):
        firsts = [generator.randint(0, 5) for _ in range(6)]
        buffers = [
            Buffer.box(f"b{i}", generator.randint(1, 4), first, first + generator.randint(1, 3))
            for i, first in enumerate(firsts)
        ]
        assert plan_buffers(buffers, alignment=1).peak == brute_force_peak(buffers), buffers


def greedy_trap(count: int = 80) -> list[Buffer]:
    generator = random.Random(5)
    firsts = [(generator.randint(0, 60), generator.randint(1, 4000)) for _ in range(count)]
    return [
        Buffer.box(f"b{i}", size, first, first + generator.randint(1, 20))
        for i, (first, size) in enumerate(firsts)
    ]


def test_local_search_narrows_the_gap_that_greedy_leaves() -> None:
    greedy = plan_buffers(greedy_trap(), evaluations=0)
    searched = plan_buffers(greedy_trap())
    assert greedy.gap > 0
    assert searched.gap < greedy.gap
    assert searched.order.endswith("local search")
    assert check_plan(greedy_trap(), searched) == []


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


def test_a_shape_cannot_be_folded_below_its_extent() -> None:
    shape = Buffer("a", (Part(0, 4, 0, 1), Part(40, 4, 1, 2)))
    plan = plan_buffers([shape])
    assert (plan.peak, plan.lower_bound, plan.certificate) == (44, 44, "optimal: equals the lower bound")


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", 1, 0, 1), "a name needs"),
        (("a*/b", 1, 0, 1), "asterisks"),
        (("a b", 1, 0, 1), "spaces"),
        (("a\n", 1, 0, 1), "printable"),
        (("a", 0, 0, 1), "size of 0 bytes"),
        (("a", -4, 0, 1), "size of -4 bytes"),
        (("a", 1, -1, 1), r"\[-1, 1\)"),
        (("a", 1, 3, 3), r"\[3, 3\)"),
    ],
)
def test_a_malformed_buffer_is_refused(arguments: tuple[str, int, int, int], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Buffer.box(*arguments)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "no parts"),
        ((Part(0, 4, 0, 1), Part(0, 4, 2, 3)), "ends at operator 1 and the next begins at 2"),
        ((Part(0, 4, 0, 2), Part(0, 4, 1, 3)), "ends at operator 2 and the next begins at 1"),
        ((Part(4, 4, 0, 1), Part(8, 4, 1, 2)), "the lowest part of buffer a starts at 4"),
        ((Part(0, 4, 0, 1), Part(-4, 4, 1, 2)), "a part of buffer a starts at -4"),
        ((Part(0, 4, 0, 1), Part(0, 0, 1, 2)), "size of 0 bytes"),
    ],
)
def test_a_malformed_shape_is_refused(parts: tuple[Part, ...], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Buffer("a", parts)


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


def test_offsets_cannot_be_changed() -> None:
    plan = Plan((("a", 0),), 4, 4, 4, "size", 4)
    with pytest.raises(TypeError):
        plan.offsets["a"] = 8  # type: ignore[index]
