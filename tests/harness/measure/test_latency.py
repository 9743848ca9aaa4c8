from __future__ import annotations

import pytest

from harness.errors import MeasurementError
from harness.measure.latency import tick_series
from harness.targets import Target, load_target, target_names

VALUES = tuple(range(100, 130))


def target(name: str) -> Target:
    if name not in target_names():
        pytest.skip(f"no target folder {name}")
    return load_target(name)


def test_values_are_kept_in_order_with_the_unit_of_the_target() -> None:
    series = tick_series(VALUES, target("qemu-mps2-an500"))
    assert (series.values, series.unit, series.kind) == (VALUES, "instructions", "simulated")
    assert tick_series(VALUES, target("host")).kind == "measured"


def test_too_few_samples_make_no_figure() -> None:
    with pytest.raises(MeasurementError, match="at least 30"):
        tick_series(VALUES[:29], target("host"))


def test_a_profile_may_take_fewer() -> None:
    assert tick_series(VALUES[:1], target("host"), fewest=1).values == VALUES[:1]


def test_a_tick_source_that_stands_still_makes_no_figure() -> None:
    with pytest.raises(MeasurementError, match="does not run"):
        tick_series((0, *VALUES), target("host"))
