"""int16 gradients of whole networks beside float64 ones of the same forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from small_networks import (
    full,
    image,
    photographs,
    schemes,
    shared_backbone,
    small_backbone,
    training_module,
    with_classifier,
)

from engine.frontends.backbone import Backbone
from engine.graph import Array, DType, Module, Phase
from engine.interpreter import Interpreter
from engine.lowering import IMAGE, LABEL
from engine.operators import StepContext, kind_of
from engine.operators.exponents import exponent_name
from engine.schemes import Scheme, load_scheme
from fixtures.schemes import LIBRARY

Real = NDArray[np.float64]
LEARNING_RATE = 2.0**20
"""Large, so that the state before less that after keeps the digits of small gradients."""
COSINE, ERROR = 0.9999, 0.02


@dataclass(frozen=True)
class Gradients:
    """By the name of the gradient, or of the trained tensor."""

    values: dict[str, Real]
    state: dict[str, Real]


def integer_gradients(module: Module, picture: Array, label: int) -> Gradients:
    """Of a module that accumulates: its accumulators hold the gradient of the first image."""
    interpreter = with_classifier(Interpreter(module, images_per_update=2))
    values = interpreter.values(picture, label)
    found = {
        tensor.name: values[tensor.name] * 2.0 ** int(values[exponent_name(tensor.name)])
        for tensor in module.graph.tensors
        if tensor.dtype is DType.INT16
    }
    suffix = ".accumulator"
    state = {
        name.removesuffix(suffix): data.astype(np.float64)
        for name, data in interpreter.state.items()
        if name.endswith(suffix)
    }
    return Gradients(found, state)


def float64_gradients(module: Module, picture: Array, label: int) -> Gradients:
    """Forward in integers, everything else in float64."""
    graph = module.graph
    state = with_classifier(Interpreter(module)).state
    values: dict[str, Array] = {**module.data, **state, IMAGE: picture, LABEL: np.asarray(label, np.int32)}
    step = StepContext(learning_rate=LEARNING_RATE)
    found: dict[str, Real] = {}
    for op in graph.operators:
        kind = kind_of(op)
        function = kind.evaluate if op.phase is Phase.FORWARD else kind.evaluate_real
        results = function(op, graph, {role: values[name] for role, name in op.inputs}, step)
        values.update({name: results[role] for role, name in op.outputs})
        for role in kind.mutates:
            name = op.find_input(role)
            if name is not None:
                found[name] = (values[name].astype(np.float64) - results[role]) / LEARNING_RATE
    gradients = {tensor.name: values[tensor.name] for tensor in graph.tensors if tensor.dtype is DType.INT16}
    return Gradients(gradients, found)


def both(backbone: Backbone, scheme: Scheme, picture: Array, label: int) -> tuple[Gradients, Gradients]:
    options = {"qas": False, "gradient": "i16"}
    integer = training_module(backbone, scheme, accumulate=2, **options)
    plain = training_module(backbone, scheme, **options)
    return integer_gradients(integer, picture, label), float64_gradients(plain, picture, label)


def assert_near(found: dict[str, Real], expected: dict[str, Real]) -> None:
    """In direction, and in the largest error relative to the largest value."""
    assert found.keys() == expected.keys()
    for name, exact in expected.items():
        size = float(np.linalg.norm(found[name]) * np.linalg.norm(exact))
        assert size > 0, name
        assert float((found[name] * exact).sum()) / size > COSINE, name
        assert float(np.abs(found[name] - exact).max() / np.abs(exact).max()) < ERROR, name


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("scheme_name", ["full", "sparse", "bias-only"])
def test_small_networks(seed: int, scheme_name: str) -> None:
    backbone = small_backbone(seed)
    found, exact = both(backbone, schemes(backbone)[scheme_name], image(3 + seed), 2)
    assert len(found.values) > 20
    assert_near(found.values, exact.values)
    assert_near(found.state, exact.state)


@pytest.mark.parametrize("network", ["mcunet-5fps", "mbv2-w0.35", "proxyless-w0.3"])
@pytest.mark.parametrize("scheme_name", ["sparse-49kb", "full"])
def test_published_networks(network: str, scheme_name: str) -> None:
    """Up to 52 convolutions deep."""
    backbone = shared_backbone(network)
    scheme = full(backbone) if scheme_name == "full" else load_scheme(scheme_name, backbone, LIBRARY)
    found, exact = both(backbone, scheme, photographs(1)[0], 2)
    assert_near(found.values, exact.values)
    assert_near(found.state, exact.state)
