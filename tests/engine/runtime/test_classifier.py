"""tb_classifier.c against its NumPy twin, bit for bit, and against float64 within bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_bindings import Kernels
from kernel_cases import same_bits

from engine.operators import reference

SEEDS = st.integers(0, 2**32 - 1)


def test_exp_is_accurate_and_never_negative(kernels: Kernels) -> None:
    rng = np.random.default_rng(1)
    edges = [0.0, -0.0, -1e-30, -86.999, -87.0, -87.00001, -1e9, -3e38]
    x = np.concatenate([-rng.uniform(0, 87, 20000), -(10.0 ** rng.uniform(-20, 1.9, 5000)), edges]).astype(
        np.float32
    )
    actual = kernels.exp(x)
    same_bits(actual, reference.exp(x))
    exact = np.exp(x.astype(np.float64))
    kept = x >= -87
    assert (np.abs(actual[kept] / exact[kept] - 1) < 2e-7).all()
    assert (actual[~kept] == 0).all()
    assert (actual[x == 0] == 1).all()


def test_log_is_accurate(kernels: Kernels) -> None:
    rng = np.random.default_rng(2)
    edges = [1.0, np.nextafter(np.float32(1), np.float32(2)), 2.0, 1.4142135, 1.4142137, 1000.0]
    around_branch = np.linspace(1.4141, 1.4143, 2000)
    x = np.concatenate([rng.uniform(1, 2, 10000), 10.0 ** rng.uniform(0, 6, 10000), around_branch, edges])
    x = x.astype(np.float32)
    actual = kernels.log(x)
    same_bits(actual, reference.log(x))
    exact = np.log(x.astype(np.float64))
    assert (np.abs(actual - exact) <= 1.5e-7 * np.maximum(exact, 0.1)).all()
    assert actual[x == 1][0] == 0


@settings(max_examples=80, deadline=None)
@given(
    seed=SEEDS,
    classes=st.integers(1, 12),
    spread=st.sampled_from([0.0, 1e-3, 1.0, 50.0, 1e4, 1e30]),
    in_place=st.booleans(),
)
def test_softmax_cross_entropy(
    kernels: Kernels, seed: int, classes: int, spread: float, in_place: bool
) -> None:
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=classes) * spread).astype(np.float32)
    label = int(rng.integers(classes))
    loss, gradient = kernels.softmax_cross_entropy(logits, label, in_place=in_place)
    expected_loss, expected = reference.softmax_cross_entropy(logits, label)
    same_bits(np.asarray(loss), np.asarray(expected_loss))
    same_bits(gradient, expected)
    assert np.isfinite(loss) and loss >= 0
    z = logits.astype(np.float64)
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    assert np.allclose(gradient, p - (np.arange(classes) == label), atol=2e-6)
    if spread <= 50:
        assert np.isclose(loss, -np.log(p[label]), rtol=1e-5, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, classes=st.integers(1, 11), features=st.sampled_from([1, 2, 15, 16, 17, 160]))
def test_fully_connected(kernels: Kernels, seed: int, classes: int, features: int) -> None:
    rng = np.random.default_rng(seed)
    weights, x, bias = (
        rng.normal(size=shape).astype(np.float32) for shape in ((classes, features), (features,), (classes,))
    )
    same_bits(kernels.fully_connected(x, weights, bias), reference.fully_connected(x, weights, bias))
    dz = rng.normal(size=classes).astype(np.float32)
    same_bits(
        kernels.fully_connected_grad_input(dz, weights), reference.fully_connected_grad_input(dz, weights)
    )


def test_the_loss_of_a_large_class_count_is_finite(kernels: Kernels) -> None:
    loss, gradient = kernels.softmax_cross_entropy(np.zeros(1000, np.float32), 3, in_place=False)
    assert loss == pytest.approx(np.log(1000), rel=1e-6)
    assert gradient.sum() == pytest.approx(0, abs=1e-5)
