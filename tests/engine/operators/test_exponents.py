"""What graphs with int16 gradients must not be, and how an exponent reads in C."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from broken_modules import found, tensors, with_attribute, with_data, with_input, without
from small_networks import full, training_module

from engine.errors import GraphError
from engine.frontends.backbone import Backbone
from engine.graph import DType, Module, Quantization, attributes
from engine.operators import kind_of
from engine.operators.exponents import exponent_statement
from engine.verifier import verify

F32, I8 = DType.FLOAT32, DType.INT8
RESIDUAL = "block07.residual.grad_a"
STEM_SCALED, STEM_GRADIENT = "stem.output.accumulator_gradient", "stem.output.gradient_from_block00.depthwise"
EXPONENTS = {
    "a missing exponent": (
        lambda m: without(m, "stem.masked_scale", "gradient_exponent"),
        r"stem.masked_scale \(masked_scale_i16\): no input gradient_exponent",
    ),
    "the exponent of another gradient": (
        lambda m: with_input(m, "stem.weight_update", "gradient_exponent", f"{STEM_GRADIENT}.exponent"),
        f"the exponent of gradient should be {STEM_SCALED}.exponent, found {STEM_GRADIENT}.exponent",
    ),
    "an exponent of another type": (
        lambda m: tensors(m, f"{STEM_SCALED}.exponent", dtype=I8),
        "y_exponent must be an i32 scalar",
    ),
    "an exponent that is no scalar": (
        lambda m: tensors(m, f"{STEM_GRADIENT}.exponent", shape=(1,)),
        "dx_exponent must be an i32 scalar",
    ),
    "masked scale, float32 gradient": (
        lambda m: tensors(m, STEM_SCALED, dtype=F32),
        "gradients must be i16",
    ),
    "masked scale, float32 scale": (
        lambda m: with_data(
            tensors(m, "stem.gradient_multiplier", dtype=F32),
            **{"stem.gradient_multiplier": np.zeros(5, np.float32)},
        ),
        "scale must be i32",
    ),
    "masked scale, multipliers without exponent": (
        lambda m: tensors(m, "stem.gradient_multiplier", quantization=None),
        "the multipliers stem.gradient_multiplier must be quantized",
    ),
    "masked scale, multipliers of an odd unit": (
        lambda m: tensors(m, "stem.gradient_multiplier", quantization=Quantization(0.3, 0)),
        "the scale of stem.gradient_multiplier should be a power of two, found 0.3",
    ),
    "residual gradient, negative multiplier": (
        lambda m: with_attribute(m, RESIDUAL, multiplier=-1),
        "the multiplier must be a positive int32",
    ),
    "residual gradient, no exponent": (
        lambda m: with_attribute(m, RESIDUAL, exponent=0.5),
        "attribute exponent should be an integer, found 0.5",
    ),
    "residual gradient, shape": (
        lambda m: tensors(m, "block07.pointwise2.output.gradient_from_block07.residual", shape=(1, 1, 9)),
        "gradient, mask and dx must have one shape",
    ),
    "input gradient, dtype": (
        lambda m: tensors(m, STEM_GRADIENT, dtype=F32),
        "gradients must be i16",
    ),
    "pool gradient, dtype": (
        lambda m: tensors(m, "block07.sum.gradient_from_pool", dtype=F32),
        "dx must be i16 HWC",
    ),
}


@pytest.fixture(scope="module")
def integers(backbone: Backbone) -> Module:
    return training_module(backbone, full(backbone), gradient="i16")


def test_a_training_graph_with_integer_gradients_passes(integers: Module) -> None:
    assert verify(integers) is integers


@pytest.mark.parametrize("case", EXPONENTS.values(), ids=EXPONENTS)
def test_refuses_integer_gradients(integers: Module, case: tuple) -> None:
    broken, message = case
    with pytest.raises(GraphError, match=message):
        verify(broken(integers))


def test_sums_too_long_for_integer_gradients_are_refused(integers: Module) -> None:
    """Where multipliers that keep a sum within 32 bits would have too few bits."""
    name = "block01.pointwise1.grad_input"
    graph, op = integers.graph, found(integers, "block01.pointwise1.grad_input")
    wide = 2**17
    changed = [
        replace(t, shape=(*t.shape[:-1], wide)) if t.name == op.input("gradient") else t
        for t in graph.tensors
    ]
    changed = [
        replace(t, shape=(wide, *t.shape[1:])) if t.name == op.input("trainable") else t for t in changed
    ]
    bad = replace(graph, tensors=tuple(changed))
    kind = kind_of(op)
    with pytest.raises(GraphError, match=f"{name} .*: sums of 131072 products are too long for int16"):
        kind.check(replace(op, attributes=attributes(**{**dict(op.attributes), "out_channels": wide})), bad)


def test_maps_too_large_for_integer_gradients_are_refused(integers: Module) -> None:
    graph, op = integers.graph, found(integers, "stem.masked_scale")
    mapped = {op.input("gradient"), op.input("mask"), op.output("y")}
    large = tuple(replace(t, shape=(4096, 4096, 5)) if t.name in mapped else t for t in graph.tensors)
    with pytest.raises(GraphError, match="16777216 pixels are too many for int16 gradients"):
        kind_of(op).check(op, replace(graph, tensors=large))


@pytest.mark.parametrize(("by", "expected"), [(3, "a + 3"), (-2, "a - 2"), (0, "a")])
def test_an_exponent_grows_by_a_constant(by: int, expected: str) -> None:
    assert exponent_statement("y", "a", by) == f"const int32_t y = {expected};"
