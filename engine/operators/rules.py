"""The naive twin of the update rules other than plain stochastic gradient descent: from gradients to steps.

Source: docs/numerics.md, Updates. All arrays are float32 in stored order; every function returns new ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.operators.fixed_point import Float32

GRADIENT_LIMIT = np.float32(2.0**48)
"""Of scaled gradients: sums of their squares stay finite."""
_LIMIT = np.float32(2.0**60)


def scaled_gradient(gradient: Float32, scale: Float32 | None) -> Float32:
    """Gradients as a rule sees them; `scale` has one value per index of the first axis, None: 1."""
    if scale is not None:
        gradient = scale.reshape(-1, *[1] * (gradient.ndim - 1)) * gradient
    scaled: Float32 = np.clip(gradient, -GRADIENT_LIMIT, GRADIENT_LIMIT)
    return scaled


def momentum_after(momentum: Float32, gradient: Float32, decay: float) -> Float32:
    """m after a scaled gradient."""
    after: Float32 = np.clip(np.float32(decay) * momentum + gradient, -_LIMIT, _LIMIT)
    return after


TRUST = np.float32(0.001)


def trust_ratio(values: Float32, gradient: Float32) -> np.float32:
    """lars' factor on the scaled gradients of a tensor, from its own values as float32."""
    with np.errstate(divide="ignore", invalid="ignore"):
        norms = [np.sqrt(_sum_of_squares(x)) for x in (values, gradient)]
        return TRUST * norms[0] / norms[1] if norms[0] > 0 and norms[1] > 0 else np.float32(1)


def _sum_of_squares(values: Float32) -> np.float32:
    """Sequential in each row of the first axis, then over rows; a vector is one row."""
    kept = np.clip(values, -GRADIENT_LIMIT, GRADIENT_LIMIT)
    rows = kept.reshape(len(kept) if kept.ndim > 1 else 1, -1)
    sums = np.add.accumulate(rows * rows, axis=1, dtype=np.float32)[:, -1]
    return np.float32(np.add.accumulate(sums, dtype=np.float32)[-1])


def learning_rate(rate: float, of_tensor: float) -> np.float32:
    """e: the learning rate of a tensor."""
    return np.float32(np.float32(rate) * np.float32(of_tensor))


FIRST_DECAY, SECOND_DECAY = np.float32(0.9), np.float32(0.999)
EPSILON = np.float32(1e-8)
_ONE = np.float32(1)


@dataclass(frozen=True)
class Powers:
    """Of adam's decays, after some updates: running products in float32."""

    first: np.float32 = _ONE
    second: np.float32 = _ONE

    def after_update(self) -> Powers:
        return Powers(self.first * FIRST_DECAY, self.second * SECOND_DECAY)

    @property
    def corrections(self) -> tuple[np.float32, np.float32]:
        """What the first moment and the root of the second are multiplied with; after an update at least."""
        return _ONE / (_ONE - self.first), _ONE / np.sqrt(_ONE - self.second)


def adam(
    gradient: Float32,
    momentum: Float32,
    second_moment: Float32,
    rate: np.float32,
    corrections: tuple[np.float32, np.float32],
) -> tuple[Float32, Float32, Float32]:
    """From scaled gradients to the real steps d, and both moments after them. rate: `learning_rate`."""
    m = FIRST_DECAY * momentum + (_ONE - FIRST_DECAY) * gradient
    v = SECOND_DECAY * second_moment + (_ONE - SECOND_DECAY) * (gradient * gradient)
    d = -(((rate * corrections[0]) * m) / (np.sqrt(v) * corrections[1] + EPSILON))
    return d, m, v
