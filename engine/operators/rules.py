"""The naive twin of the update rules other than plain stochastic gradient descent: from gradients to steps.

Source: docs/numerics.md, Updates. All arrays are float32 in stored order; every function returns new ones.
"""

from __future__ import annotations

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


def learning_rate(rate: float, of_tensor: float) -> np.float32:
    """e: the learning rate of a tensor."""
    return np.float32(np.float32(rate) * np.float32(of_tensor))
