"""Synthetic signals with known answers, and simulated experiments in which the truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from harness.results.statistics import accuracy_interval, median_and_range, paired_difference

Correct = NDArray[np.bool_]
MATRICES = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))


def world(generator: np.random.Generator, images: int, seed_effect: float) -> Callable[[float], Correct]:
    """Methods tested on the same images: three seeds of a given skill, each seed with luck of its own."""
    difficulty = generator.normal(0, 1, images)

    def method(skill: float) -> Correct:
        luck = generator.normal(0, seed_effect, (3, 1))
        chance = 1 / (1 + np.exp(-3 * (skill + luck - difficulty)))
        return generator.random((3, images)) < chance

    return method


def test_one_seed_agrees_with_the_binomial_interval() -> None:
    correct = np.zeros(1000, dtype=bool)
    correct[:800] = True
    interval = accuracy_interval(correct)
    spread = 1.96 * np.sqrt(0.8 * 0.2 / 1000)
    assert interval.value == 0.8
    assert interval.low == pytest.approx(0.8 - spread, abs=0.004)
    assert interval.high == pytest.approx(0.8 + spread, abs=0.004)
    assert (interval.seeds, interval.images, interval.covers_seeds) == (1, 1000, False)


def test_all_right_is_not_certain() -> None:
    interval = accuracy_interval(np.ones((3, 40), dtype=bool))
    assert interval.high == 1.0
    assert interval.low == pytest.approx(0.025 ** (1 / 40))


def test_all_wrong_is_not_certain() -> None:
    interval = accuracy_interval(np.zeros((3, 40), dtype=bool))
    assert interval.low == 0.0
    assert interval.high == pytest.approx(1 - 0.025 ** (1 / 40))


def test_seeds_that_disagree_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    alike = np.tile(generator.random(1000) < 0.8, (3, 1))
    scattered = np.stack([generator.random(1000) < share for share in (0.7, 0.8, 0.9)])
    narrow, wide = accuracy_interval(alike), accuracy_interval(scattered)
    assert wide.high - wide.low > 4 * (narrow.high - narrow.low)


def test_more_images_narrow_the_interval() -> None:
    generator = np.random.default_rng(0)
    few, many = (accuracy_interval(generator.random((3, images)) < 0.8) for images in (100, 2000))
    assert many.high - many.low < 0.4 * (few.high - few.low)


def test_pairing_tells_apart_what_single_intervals_do_not() -> None:
    generator = np.random.default_rng(0)
    weaker = np.tile(generator.random(400) < 0.8, (3, 1))
    stronger = weaker.copy()
    wrong = np.flatnonzero(~weaker[0])
    stronger[:, wrong[:14]] = True
    one, other = accuracy_interval(stronger), accuracy_interval(weaker)
    difference = paired_difference(stronger, weaker)
    assert one.low < other.high
    assert difference.value == pytest.approx(14 / 400)
    assert difference.discordant == 14
    assert difference.low > 0
    assert difference.distinguishable


def test_equal_methods_cannot_be_told_apart() -> None:
    correct = np.random.default_rng(0).random((3, 200)) < 0.8
    difference = paired_difference(correct, correct)
    assert difference.value == 0.0
    assert difference.low < 0.0 < difference.high
    assert not difference.distinguishable


def test_five_discordant_images_never_tell() -> None:
    weaker = np.tile(np.arange(200) < 150, (3, 1))
    for gained, told in ((5, False), (8, True)):
        stronger = weaker.copy()
        stronger[:, 150 : 150 + gained] = True
        assert paired_difference(stronger, weaker).distinguishable is told


def test_one_image_proves_nothing() -> None:
    difference = paired_difference(np.ones((3, 1), dtype=bool), np.zeros((3, 1), dtype=bool))
    assert difference.value == 1.0
    assert difference.low < 0.0
    assert not difference.distinguishable


@pytest.mark.parametrize("seed_effect", [0.0, 0.15])
def test_equal_methods_are_rarely_called_different(seed_effect: float) -> None:
    """At 5 % nominal. The plain bootstrap over three seeds is above 15 % in the second case."""
    generator = np.random.default_rng(11)
    experiments, alarms = 150, 0
    for _ in range(experiments):
        method = world(generator, 600, seed_effect)
        alarms += paired_difference(method(0.9), method(0.9), resamples=1000).distinguishable
    assert alarms / experiments <= 0.10


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(12)
    truth = float(world(generator, 400_000, 0.1)(0.9).mean())
    intervals = [accuracy_interval(world(generator, 400, 0.1)(0.9), resamples=1000) for _ in range(150)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert covered >= 0.90


def test_a_large_difference_is_found() -> None:
    generator = np.random.default_rng(13)
    found = 0
    for _ in range(40):
        method = world(generator, 800, 0.03)
        found += paired_difference(method(1.1), method(0.8), resamples=1000).low > 0
    assert found >= 36


def test_the_same_data_give_the_same_interval() -> None:
    correct = np.random.default_rng(0).random((3, 100)) < 0.8
    assert accuracy_interval(correct) == accuracy_interval(correct)


@settings(max_examples=50, deadline=None)
@given(MATRICES)
def test_the_interval_holds_the_mean_and_stays_in_range(correct: Correct) -> None:
    interval = accuracy_interval(correct, resamples=200)
    assert 0.0 <= interval.low <= interval.value <= interval.high <= 1.0
    assert interval.low < interval.high


@settings(max_examples=25, deadline=None)
@given(MATRICES.flatmap(lambda m: st.tuples(st.just(m), st.permutations(range(m.shape[1])))))
def test_the_order_of_images_does_not_matter(pair: tuple[Correct, list[int]]) -> None:
    correct, order = pair
    one, other = (accuracy_interval(matrix, resamples=200) for matrix in (correct, correct[:, order]))
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


@settings(max_examples=50, deadline=None)
@given(MATRICES.flatmap(lambda first: st.tuples(st.just(first), arrays(np.bool_, first.shape))))
def test_a_difference_is_antisymmetric(pair: tuple[Correct, Correct]) -> None:
    one = paired_difference(*pair, resamples=200)
    other = paired_difference(*reversed(pair), resamples=200)
    assert one.value == pytest.approx(-other.value)
    assert one.discordant == other.discordant
    assert -1.0 <= one.low <= one.value <= one.high <= 1.0


@pytest.mark.parametrize(
    "bad",
    [np.zeros((0,), dtype=bool), np.zeros((3, 0), dtype=bool), [0, 1, 1], np.zeros((2, 2, 2), dtype=bool)],
)
def test_what_is_no_boolean_matrix_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="correct has to"):
        accuracy_interval(bad)  # type: ignore[arg-type]


def test_different_shapes_are_not_paired() -> None:
    with pytest.raises(ValueError, match=r"equal shapes, found \(3, 4\) and \(2, 4\)"):
        paired_difference(np.ones((3, 4), dtype=bool), np.ones((2, 4), dtype=bool))


def test_median_and_range() -> None:
    assert median_and_range([5, 1, 2, 8]) == (3.5, 1, 8)
    with pytest.raises(ValueError, match="no values"):
        median_and_range([])
