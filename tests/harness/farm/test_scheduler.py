"""The scheduler under every order of jobs: no place is used twice, none idles, every job runs."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.farm.scheduler import SharedGate, Slots, Stopped, next_job

LANES = ("host", "other-host", "m7", "m4")
SLOTS = st.builds(
    lambda local, m7, m4: Slots(local, {"m7": m7, "m4": m4}),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 2),
)


@given(st.lists(st.sampled_from(LANES), max_size=40), SLOTS, st.randoms(use_true_random=False))
def test_any_order_of_jobs_and_ends(jobs: list[str], slots: Slots, chance: random.Random) -> None:
    waiting, running, ran = list(jobs), [], []
    while waiting or running:
        while (position := next_job(waiting, running, slots)) is not None:
            running.append(waiting.pop(position))
        for slot, most in (("", slots.local), ("m7", slots.of("m7")), ("m4", slots.of("m4"))):
            count = sum(slots.slot(lane) == slot for lane in running)
            assert count <= most
            idle = most - count
            assert idle == 0 or not any(slots.slot(lane) == slot for lane in waiting)
        assert running
        ran.append(running.pop(chance.randrange(len(running))))
    assert sorted(ran) == sorted(jobs)


@given(st.permutations(["m7"] * 6 + ["m4"] * 3 + ["host"] * 4), SLOTS)
def test_how_many_start_at_once_does_not_depend_on_the_order(jobs: list[str], slots: Slots) -> None:
    waiting, running = list(jobs), []
    while (position := next_job(waiting, running, slots)) is not None:
        running.append(waiting.pop(position))
    expected = (
        ["host"] * min(4, slots.local) + ["m4"] * min(3, slots.of("m4")) + ["m7"] * min(6, slots.of("m7"))
    )
    assert sorted(running) == sorted(expected)


def test_jobs_of_a_lane_keep_their_order() -> None:
    assert next_job(["m7", "m7", "host"], ["m7"], Slots(1, {"m7": 1})) == 2
    assert next_job(["m7", "m7"], [], Slots(1, {"m7": 1})) == 0
    assert next_job([], [], Slots(1)) is None


def test_a_gate_that_is_shared() -> None:
    gate = SharedGate(Slots(1, {"m7": 1}))
    assert gate.admit(["m7", "host"]) == 0
    assert gate.admit(["m7", "host"]) == 1
    assert gate.admit(["m7"]) is None
    gate.leave("m7")
    assert gate.admit(["m7"]) == 0
    gate.stop()
    with pytest.raises(Stopped):
        gate.admit([])
