"""Whether two series of cycles differ by more than what they vary by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
MINIMUM_SAMPLES = 30
CYCLE_TOLERANCE = 0.005
"""Relative change below which cycles count as equal: another alignment of code in flash costs as much."""


@dataclass(frozen=True)
class RelativeChange:
    """Geometric mean of head over base, minus 1, with its interval."""

    value: float
    low: float
    high: float
    paired: bool


def relative_change(base: Sequence[int], head: Sequence[int], *, level: float = LEVEL) -> RelativeChange:
    """How much `head` is above `base`, with Student's interval on the logarithms.

    Series of equal length are paired: tick i is of the same image after the same steps in both, so what an
    image costs more than another is no noise. Others are not (Welch). Raises ValueError for fewer than
    `MINIMUM_SAMPLES` ticks on a side, or a tick that is not positive.

    Cannot tell: what varies between boards, loads and power cycles, since each side is one run on one board;
    that is what `CYCLE_TOLERANCE` is for. Ticks that hang together (a cache that stays warm, a periodic
    interrupt) make the interval too narrow.
    """
    for series in (base, head):
        if len(series) < MINIMUM_SAMPLES:
            raise ValueError(f"{len(series)} ticks are too few; it takes {MINIMUM_SAMPLES} on either side")
        if min(series) <= 0:
            raise ValueError(f"a tick count of {min(series)} cannot be")
    first, second = (np.log(np.asarray(series, dtype=np.float64)) for series in (base, head))
    paired = len(first) == len(second)
    if paired:
        difference = second - first
        mean, variance, freedom = (
            float(difference.mean()),
            float(difference.var(ddof=1)) / len(difference),
            len(difference) - 1.0,
        )
    else:
        mean = float(second.mean() - first.mean())
        parts = [(float(part.var(ddof=1)) / len(part), len(part) - 1) for part in (first, second)]
        variance = sum(part for part, _ in parts)
        weight = sum(part**2 / degrees for part, degrees in parts)
        freedom = variance**2 / weight if weight > 0 else 1.0
    reach = float(stats.t.ppf((1 + level) / 2, freedom)) * variance**0.5 if variance > 0 else 0.0
    low, value, high = (float(np.expm1(x)) for x in (mean - reach, mean, mean + reach))
    return RelativeChange(value, low, high, paired)
