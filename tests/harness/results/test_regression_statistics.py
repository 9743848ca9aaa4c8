"""Intervals on synthetic cycles with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from harness.results.regression_statistics import relative_change


def series(generator: np.random.Generator, mean: float, spread: float, count: int) -> list[int]:
    return [round(value) for value in generator.normal(mean, spread, count)]


@pytest.mark.parametrize("counts", [(40, 40), (40, 60)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(counts: tuple[int, int]) -> None:
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        base = series(generator, 1e6, 5e3, counts[0])
        head = series(generator, 1.01e6, 5e3, counts[1])
        found = relative_change(base, head)
        held += found.low <= 0.01 <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_what_images_cost_is_no_noise_when_paired() -> None:
    generator = np.random.default_rng(2)
    base = series(generator, 1e6, 2e5, 30)
    found = relative_change(base, [round(value * 1.01) for value in base])
    assert found.paired
    assert found.low == pytest.approx(0.01, abs=1e-5)
    assert found.high == pytest.approx(0.01, abs=1e-5)
    unpaired = relative_change(base, [round(value * 1.01) for value in base * 2])
    assert not unpaired.paired
    assert unpaired.low < 0 < unpaired.high


def test_constants() -> None:
    found = relative_change([1000] * 30, [1100] * 31)
    assert (found.low, found.value, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_there_and_back_are_inverse() -> None:
    generator = np.random.default_rng(3)
    base, head = series(generator, 1e6, 1e4, 30), series(generator, 1.2e6, 1e4, 45)
    there, back = relative_change(base, head), relative_change(head, base)
    assert (1 + there.low) * (1 + back.high) == pytest.approx(1)
    assert (1 + there.value) * (1 + back.value) == pytest.approx(1)


@pytest.mark.parametrize("bad", [[1000] * 29, [0] * 30])
def test_what_cannot_be_judged(bad: list[int]) -> None:
    with pytest.raises(ValueError, match=r"too few|cannot be"):
        relative_change(bad, [1000] * 30)
