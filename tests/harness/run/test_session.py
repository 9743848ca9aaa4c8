"""The learning rate goes with the next step, once, and not beyond a reset."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.deadline import Deadline
from harness.devices.base import Diagnosis
from harness.errors import DeviceHang
from harness.link.client import Step
from harness.run.session import Session


class Link:
    """Takes down what it is asked for; the first step may fail."""

    def __init__(self, failures: int = 0) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.failures = failures

    def reset(self, seed: int, deadline: Deadline) -> None:
        self.asked.append(("reset", seed))

    def train(self, label: int, deadline: Deadline, learning_rate: float | None) -> Step:
        self.asked.append(("train", label, learning_rate))
        self.failures -= 1
        if self.failures >= 0:
            raise DeviceHang("silence")
        return Step(ticks=7, loss=0.5, logits=(0.0, 0.0))


def session(link: Link) -> Session:
    device: Any = SimpleNamespace(
        name="device",
        memory=SimpleNamespace(write=lambda address, data: None),
        diagnose=lambda: Diagnosis("running", "it runs"),
    )
    made: Any = Session(device)
    made._link = link
    made._info = SimpleNamespace(classes=2, input_bytes=1, input_address=16)
    checked: Session = made
    return checked


def test_a_rate_goes_with_the_next_step_alone() -> None:
    link = Link()
    trained = session(link)
    trained.train(b"x", 0)
    trained.set_learning_rate(0.5)
    trained.set_learning_rate(0.25)
    assert link.asked == [("train", 0, None)]
    assert trained.train(b"x", 1).ticks == 7
    trained.train(b"x", 1)
    assert link.asked[1:] == [("train", 1, 0.25), ("train", 1, None)]


def test_a_rate_is_told_again_when_it_is_not_known_to_have_arrived() -> None:
    link = Link(failures=1)
    trained = session(link)
    trained.set_learning_rate(0.25)
    with pytest.raises(DeviceHang, match="silence"):
        trained.train(b"x", 0)
    trained.train(b"x", 0)
    assert link.asked == [("train", 0, 0.25), ("train", 0, 0.25)]


def test_a_reset_forgets_the_rate_as_the_trainer_does() -> None:
    link = Link()
    trained = session(link)
    trained.set_learning_rate(0.25)
    trained.reset(3)
    trained.train(b"x", 0)
    assert link.asked == [("reset", 3), ("train", 0, None)]
