"""Which errors are tried again, how often, and what they say of the trainer."""

from __future__ import annotations

import pytest

from harness.errors import (
    BuildError,
    DeviceFault,
    DeviceGone,
    DeviceHang,
    FarmError,
    HarnessError,
    LinkError,
    LoadError,
    MeasurementError,
    RackError,
)
from harness.rack.retries import Retry, at_fault, attempt
from harness.run.workers import JobCrashed, JobDied


@pytest.mark.parametrize("kind", [DeviceGone, LinkError, FarmError, JobDied])
def test_transport_errors_are_tried_again_so_often(kind: type[Exception]) -> None:
    error = kind("the cable")
    assert Retry(2).allows(error, ())
    assert Retry(2).allows(error, (attempt(error),))
    assert not Retry(2).allows(error, (attempt(error),) * 2)
    assert not Retry().allows(error, ())
    assert at_fault(error) == "infrastructure"


@pytest.mark.parametrize(
    "kind", [DeviceFault, DeviceHang, LoadError, MeasurementError, BuildError, HarnessError, JobCrashed]
)
def test_what_the_trainer_did_is_never_tried_again(kind: type[Exception]) -> None:
    assert not Retry(9).allows(kind("its fault"), ())
    assert at_fault(kind("its fault")) == "trainer"


def test_a_wrong_board_is_no_fault_of_the_trainer_and_not_tried_again() -> None:
    assert at_fault(RackError("swapped")) == "infrastructure"
    assert not Retry(9).allows(RackError("swapped"), ())
