import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import PlanError
from engine.plan import Buffer, Plan, lower_bound, plan_buffers
from engine.plan_check import check_plan

REPOSITORY = Path(__file__).resolve().parents[2]


@st.composite
def buffer_lists(draw: st.DrawFn, max_buffers: int = 12, max_size: int = 64) -> list[Buffer]:
    count = draw(st.integers(0, max_buffers))
    buffers = []
    for i in range(count):
        first = draw(st.integers(0, 9))
        length = draw(st.integers(1, 6))
        buffers.append(Buffer(f"b{i}", draw(st.integers(1, max_size)), first, first + length))
    return buffers


def brute_force_peak(buffers: list[Buffer]) -> int:
    """The least peak over all plans at alignment 1, by trying every offset of every buffer."""

    def fits(peak: int, placed: list[tuple[int, Buffer]]) -> bool:
        if len(placed) == len(buffers):
            return True
        buffer = buffers[len(placed)]
        for offset in range(peak - buffer.size + 1):
            clear = all(
                offset + buffer.size <= other_offset
                or other_offset + other.size <= offset
                or buffer.last <= other.first
                or other.last <= buffer.first
                for other_offset, other in placed
            )
            if clear and fits(peak, [*placed, (offset, buffer)]):
                return True
        return False

    peak = 0
    while not fits(peak, []):
        peak += 1
    return peak


@given(buffer_lists(), st.sampled_from([1, 4, 16]))
def test_every_plan_holds(buffers: list[Buffer], alignment: int) -> None:
    plan = plan_buffers(buffers, alignment, evaluations=60)
    assert check_plan(buffers, plan) == []
    assert plan.lower_bound <= plan.peak
    assert plan.gap == plan.peak - plan.lower_bound
    assert plan.peak % alignment == 0


@given(buffer_lists(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(buffers: list[Buffer], shuffler: random.Random) -> None:
    shuffled = list(buffers)
    shuffler.shuffle(shuffled)
    assert plan_buffers(buffers, evaluations=60) == plan_buffers(shuffled, evaluations=60)


@settings(max_examples=50)
@given(buffer_lists(max_buffers=5, max_size=4))
def test_no_plan_beats_brute_force(buffers: list[Buffer]) -> None:
    plan = plan_buffers(buffers, alignment=1)
    assert plan.lower_bound <= brute_force_peak(buffers) <= plan.peak


def test_the_optimum_is_reached_on_fixed_tiny_cases() -> None:
    generator = random.Random(7)
    for _ in range(60):
        firsts = [generator.randint(0, 5) for _ in range(6)]
        buffers = [
            Buffer(f"b{i}", generator.randint(1, 4), first, first + generator.randint(1, 3))
            for i, first in enumerate(firsts)
        ]
        assert plan_buffers(buffers, alignment=1).peak == brute_force_peak(buffers), buffers


def greedy_trap(count: int = 80) -> list[Buffer]:
    generator = random.Random(5)
    firsts = [(generator.randint(0, 60), generator.randint(1, 4000)) for _ in range(count)]
    return [
        Buffer(f"b{i}", size, first, first + generator.randint(1, 20))
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
    plan = plan_buffers([Buffer("a", 10, 0, 1), Buffer("b", 8, 1, 2)])
    assert (plan.peak, plan.lower_bound, plan.gap) == (12, 12, 0)
    assert dict(plan.offsets) == {"a": 0, "b": 0}


def test_sizes_are_rounded_up_to_the_alignment() -> None:
    plan = plan_buffers([Buffer("a", 1, 0, 2), Buffer("b", 5, 0, 2)], alignment=4)
    assert plan.peak == plan.lower_bound == 12
    assert lower_bound([Buffer("a", 1, 0, 2), Buffer("b", 5, 0, 2)], alignment=8) == 16


def test_no_buffers_need_no_bytes() -> None:
    plan = plan_buffers([])
    assert (plan.peak, plan.lower_bound, plan.placements) == (0, 0, ())


def test_the_plan_is_the_same_under_two_hash_seeds() -> None:
    program = (
        "import random; from engine.plan import Buffer, plan_buffers; g = random.Random(2); "
        "f = [(g.randint(0, 60), g.randint(1, 4000)) for _ in range(40)]; "
        "print(plan_buffers([Buffer(f'b{i}', s, o, o + g.randint(1, 20)) for i, (o, s) in enumerate(f)]))"
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
        Buffer(*arguments)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(PlanError, match="two buffers are named a"):
        plan_buffers([Buffer("a", 1, 0, 1), Buffer("a", 2, 1, 2)])
    with pytest.raises(PlanError, match="power of two"):
        plan_buffers([], alignment=3)
    with pytest.raises(PlanError, match="power of two"):
        plan_buffers([], alignment=0)
    with pytest.raises(PlanError, match="-1 evaluations"):
        plan_buffers([], evaluations=-1)


def test_offsets_cannot_be_changed() -> None:
    plan = Plan((("a", 0),), 4, 4, "size", 4)
    with pytest.raises(TypeError):
        plan.offsets["a"] = 8  # type: ignore[index]
