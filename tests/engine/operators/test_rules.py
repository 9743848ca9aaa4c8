"""Update rules in NumPy: their limits, and PyTorch's optimizers beside them (`pytest -m oracle`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.operators import rules
from engine.operators.fixed_point import Float32

STEPS = 60
SEEDS = st.integers(0, 2**32 - 1)


def descend(
    name: str, weights: Float32, gradients: list[Float32], rate: float, *, momentum: float = 0.9
) -> Float32:
    """Weights after a step of the rule for each gradient."""
    m, v, powers = np.zeros_like(weights), np.zeros_like(weights), rules.Powers()
    for gradient in gradients:
        scaled = rules.scaled_gradient(gradient, None)
        if name == "adam":
            powers = powers.after_update()
            d, m, v = rules.adam(scaled, m, v, np.float32(rate), powers.corrections)
        else:
            m = rules.momentum_after(m, scaled, momentum)
            d = -(np.float32(rate) * m)
        weights = weights + d
    return weights


def drawn(seed: int, size: int = 200) -> tuple[Float32, list[Float32]]:
    rng = np.random.default_rng(seed)
    spread = 10.0 ** rng.uniform(-4, 4, size)
    gradients = [(rng.normal(0.3, 1.0, size) * spread).astype(np.float32) for _ in range(STEPS)]
    return rng.normal(size=size).astype(np.float32), gradients


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_pytorch(name: str) -> None:
    torch: Any = pytest.importorskip("torch")
    start, gradients = drawn(1)
    parameter = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))
    if name == "adam":
        optimizer = torch.optim.Adam([parameter], lr=0.01)
    else:
        optimizer = torch.optim.SGD([parameter], lr=0.01, momentum=0.9)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    moved = parameter.detach().numpy() - start
    ours = descend(name, np.zeros_like(start), gradients, 0.01)
    assert np.abs(moved).max() > 0.1
    assert np.allclose(ours, moved, rtol=1e-4, atol=1e-5 * np.abs(moved).max() if name == "adam" else 0)


def test_momentum_of_a_constant_gradient_approaches_its_series() -> None:
    """1 / (1 - 0.9) times as far a step in the end, and a step less nine in the beginning."""
    gradient = np.array([2.0, -3.0], np.float32)
    moved = descend("momentum", np.zeros(2, np.float32), [gradient] * 500, 0.01)
    assert np.allclose(moved, -0.01 * gradient * (500 * 10 - 90), rtol=1e-4)


def test_the_first_step_of_adam_is_the_learning_rate() -> None:
    """Whatever the gradient's size: the corrections cancel the decays."""
    gradient = np.array([1e-4, -1.0, 1e9, 0.0], np.float32)
    moved = descend("adam", np.zeros(4, np.float32), [gradient], 0.25)
    assert np.allclose(moved, [-0.25, 0.25, -0.25, 0.0], rtol=2e-4)


def test_powers_run_out_without_harm() -> None:
    powers = rules.Powers()
    for _ in range(200_000):
        powers = powers.after_update()
    assert 0 <= powers.first < 1e-40
    assert powers.corrections == (1, 1)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, name=st.sampled_from(["momentum", "adam"]), momentum=st.sampled_from([0.0, 0.9, 1 - 1e-9]))
def test_nothing_becomes_nan(seed: int, name: str, momentum: float) -> None:
    """Infinite and vanishing products of gradient and scale, steps of any size."""
    rng = np.random.default_rng(seed)
    choices = np.array([0.0, 1e-45, -1e-38, 1e-9, 1.0, -3e38, 3e38], np.float32)
    with np.errstate(over="ignore", under="ignore"):
        m, v, powers = (np.zeros(50, np.float32), np.zeros(50, np.float32), rules.Powers())
        for _ in range(30):
            scale = rng.choice(np.array([0.0, 1e-30, 1.0, 2.0**96], np.float32), 50)
            scaled = rules.scaled_gradient(rng.choice(choices, 50), scale)
            rate = rules.learning_rate(rng.choice([-(2.0**30), 1e-38, 2.0**30]), 1e12)
            if name == "adam":
                powers = powers.after_update()
                d, m, v = rules.adam(scaled, m, v, rate, powers.corrections)
            else:
                m = rules.momentum_after(m, scaled, momentum)
                d = -(rate * m)
            assert np.isfinite(m).all() and np.isfinite(v).all()
            assert not np.isnan(d).any()
