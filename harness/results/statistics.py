"""What a set of test predictions can and cannot tell: bootstrap intervals over test images and seeds.

Rows are seeds, columns are test images; every seed is tested on the same images. Both are resampled, because
both are samples: another seed trains another network, another set of photographs scores it differently.

Two corrections make few seeds safe; without them three seeds gave up to 24 % false differences in simulation
instead of 5 %, with them 7 % (tests/harness/results/test_statistics.py keeps the rate in bounds):

- R - 1 of R seeds are drawn, because the plain bootstrap underestimates the variance of a mean of R values by
  (R - 1) / R (McCarthy and Snowden, "The bootstrap and finite population sampling", 1985).
- The interval is stretched by Student's t over normal quantile, at the degrees of freedom that
  Satterthwaite's formula gives for the seed and the image part of the variance (after Hesterberg, "What
  teachers should know about the bootstrap", 2015). With many images and little variation between seeds the
  factor is 1; where three seeds carry all variation, 2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

RESAMPLES = 10_000
LEVEL = 0.95
MINIMUM_DISCORDANT = 6
"""Five discordant images cannot reach p < 0.05 in an exact sign test: 2 * 0.5**5 = 0.0625."""


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval, as fractions (accuracy in 0..1, differences in -1..1)."""

    value: float
    low: float
    high: float
    seeds: int
    images: int

    @property
    def covers_seeds(self) -> bool:
        """False with one seed: the interval then says nothing about how training varies from seed to seed."""
        return self.seeds > 1


@dataclass(frozen=True)
class Difference(Interval):
    """Mean of first - second, paired by seed and by image."""

    discordant: int
    """Images on which the two methods differ in at least one seed."""

    @property
    def distinguishable(self) -> bool:
        """Whether the data tell the methods apart: the interval excludes zero and enough images differ."""
        return self.discordant >= MINIMUM_DISCORDANT and (self.low > 0.0 or self.high < 0.0)


def accuracy_interval(
    correct: ArrayLike, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Mean accuracy with its bootstrap interval.

    `correct`: booleans of shape (seeds, images), or (images,) for one seed. `seed` starts the resampling, so
    the same data give the same interval. The interval is never narrower than the exact binomial
    (Clopper-Pearson) interval over the images: near 0 and 1 the bootstrap has next to nothing to resample and
    would claim certainty.

    Cannot tell: with one seed, how training varies from seed to seed (`covers_seeds` is False); whether the
    images stand for the ones of a field. Raises ValueError for an empty or non-boolean array.
    """
    matrix = _matrix(correct)
    mean = float(matrix.mean())
    seeds, images = matrix.shape
    low, high = _stretched_bootstrap(matrix, level, resamples, seed)
    exact_low, exact_high = _clopper_pearson(mean * images, images, level)
    return Interval(mean, max(0.0, min(low, exact_low)), min(1.0, max(high, exact_high)), seeds, images)


def paired_difference(
    first: ArrayLike, second: ArrayLike, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Mean accuracy of `first` minus that of `second`, paired by seed and image, with its bootstrap interval.

    Both: booleans of the same shape (seeds, images) or (images,), rows and columns in the same order. Pairing
    removes what both methods share (hard images), so it can tell a difference where the two accuracy
    intervals overlap.

    Cannot tell: what `accuracy_interval` cannot; and nothing at all where the methods differ on fewer than
    `MINIMUM_DISCORDANT` images, however narrow the interval (`distinguishable` is then False). The interval
    is for this one pair: of twenty pairs of equal methods, one is expected to look different.

    Raises ValueError for empty, non-boolean or differently shaped arrays.
    """
    one, other = _matrix(first), _matrix(second)
    if one.shape != other.shape:
        raise ValueError(f"a paired difference needs equal shapes, found {one.shape} and {other.shape}")
    difference = one - other
    if np.all(difference == difference[0, 0]):
        low, high = _constant_difference(int(difference[0, 0]), difference.shape[1], level)
    else:
        low, high = _stretched_bootstrap(difference, level, resamples, seed)
    discordant = int(np.any(difference != 0, axis=0).sum())
    value = float(difference.mean())
    seeds, images = difference.shape
    return Difference(value, max(-1.0, low), min(1.0, high), seeds, images, discordant)


def median_and_range(values: Sequence[int]) -> tuple[float, int, int]:
    """Median, minimum and maximum of raw ticks. Raises ValueError for no values."""
    if not values:
        raise ValueError("there are no values to take the median of")
    return float(np.median(np.asarray(values, dtype=np.float64))), min(values), max(values)


def _matrix(correct: ArrayLike) -> NDArray[np.int64]:
    """As int64 of shape (seeds, images)."""
    array = np.asarray(correct)
    if array.dtype != np.bool_:
        raise ValueError(f"correct has to be boolean, found dtype {array.dtype}")
    matrix = np.atleast_2d(array)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"correct has to have shape (seeds, images), found {array.shape}")
    return matrix.astype(np.int64)


def _stretched_bootstrap(
    matrix: NDArray[np.int64], level: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Percentile interval of the mean of `matrix` (seeds, images), stretched about the mean for few seeds."""
    mean = float(matrix.mean())
    means = _resampled_means(matrix, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    stretch = _stretch(matrix, level)
    return mean - stretch * max(0.0, mean - float(low)), mean + stretch * max(0.0, float(high) - mean)


def _resampled_means(
    matrix: NDArray[np.int64], resamples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Means of `resamples` draws of seeds and images.

    Images that behave alike in every seed are interchangeable, so how often each such pattern is drawn is
    multinomial: the same distribution as drawing images one by one, at a cost that does not grow with their
    number.
    """
    seeds, images = matrix.shape
    patterns, counts = np.unique(matrix, axis=1, return_counts=True)
    image_draws = generator.multinomial(images, counts / images, size=resamples)
    drawn = max(1, seeds - 1)
    seed_draws = generator.multinomial(drawn, np.full(seeds, 1 / seeds), size=resamples)
    means: NDArray[np.float64] = ((image_draws @ patterns.T) * seed_draws).sum(axis=1) / (images * drawn)
    return means


def _stretch(matrix: NDArray[np.int64], level: float) -> float:
    """Student's t over normal quantile at Satterthwaite's degrees of freedom; 1 where nothing varies."""
    parts = [
        (float(np.var(means, ddof=1)) / means.size, means.size - 1)
        for means in (matrix.mean(axis=1), matrix.mean(axis=0))
        if means.size > 1
    ]
    weight = sum(variance**2 / freedom for variance, freedom in parts)
    if weight == 0.0:
        return 1.0
    freedom = sum(variance for variance, _ in parts) ** 2 / weight
    probability = (1 + level) / 2
    return float(stats.t.ppf(probability, freedom) / stats.norm.ppf(probability))


def _clopper_pearson(successes: float, trials: int, level: float) -> tuple[float, float]:
    """Exact binomial interval; fractional successes (a mean over seeds) interpolate between whole ones."""
    tail = (1 - level) / 2
    failures = trials - successes
    low = 0.0 if successes <= 0 else float(stats.beta.ppf(tail, successes, failures + 1))
    high = 1.0 if failures <= 0 else float(stats.beta.ppf(1 - tail, successes + 1, failures))
    return low, high


def _constant_difference(value: int, images: int, level: float) -> tuple[float, float]:
    """Where every image gives the same difference: how much could hide behind `images` equal observations."""
    hidden = 1 - math.pow((1 - level) / 2, 1 / images)
    reach = hidden * (1 if value == 0 else 2)
    return value - reach, value + reach
