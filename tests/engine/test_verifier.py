"""Each invariant broken once, in a graph that is otherwise that of a real training step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from broken_modules import (
    found,
    moved_behind,
    operator,
    tensors,
    with_attribute,
    with_data,
    with_input,
    with_operator,
    with_outputs,
    with_tensor,
    without,
)
from small_networks import full, training_module

from engine.errors import GraphError
from engine.frontends.backbone import Backbone
from engine.graph import DType, Module, Role, Tensor
from engine.verifier import verify


@pytest.fixture(scope="module")
def module(backbone: Backbone) -> Module:
    return training_module(backbone, full(backbone), rounding="extended")


STEM = ("stem.weight", Tensor("stem.weight", DType.INT8, (5, 3, 3, 3), Role.STATE))
CONV = "block01.pointwise1"

STRUCTURE = {
    "a name with a quote": (
        lambda m: with_tensor(m, Tensor('a"b', DType.INT8, (1,), Role.INPUT)),
        r"tensor 'a\"b': a name consists of",
    ),
    "an operator's name with a newline": (
        lambda m: operator(m, "stem", name="stem\n"),
        r"operator 'stem\\n': a name consists of",
    ),
    "two tensors of one name": (lambda m: with_tensor(m, STEM[1]), "two tensors are named stem.weight"),
    "two operators of one name": (
        lambda m: operator(m, "pool", name="features"),
        "two operators are named features",
    ),
    "an unknown kind": (lambda m: operator(m, "pool", kind="maximum"), "pool: unknown kind 'maximum'"),
    "a missing input": (
        lambda m: without(m, "stem", "bias"),
        r"stem \(conv2d\): no input bias; it has x, trainable, multiplier",
    ),
    "a missing output": (lambda m: without(m, "stem", "y"), r"stem \(conv2d\): no output y"),
    "an undeclared input": (
        lambda m: with_input(m, "pool", "weight", "stem.bias"),
        r"pool \(global_average_pool\): unexpected input weight",
    ),
    "an input given twice": (
        lambda m: operator(m, "pool", inputs=(("x", "block07.sum"), ("x", "block07.sum"))),
        r"pool \(global_average_pool\): unexpected input x",
    ),
    "an unknown tensor": (
        lambda m: with_input(m, "pool", "x", "nothing"),
        "graph small has no tensor named nothing",
    ),
    "reading before writing": (
        lambda m: moved_behind(m, "pool", "features"),
        "features: input x reads pool.output before any operator has written it",
    ),
    "reading state after its update": (
        lambda m: moved_behind(m, f"{CONV}.weight_update", f"{CONV}.masked_scale"),
        f"{CONV}.grad_input: input trainable reads {CONV}.weight after {CONV}.weight_update has changed it",
    ),
    "updating state twice": (
        lambda m: with_operator(m, replace(found(m, "stem.bias_update"), name="again")),
        "again: input bias reads stem.bias after stem.bias_update has changed it",
    ),
    "writing a value twice": (
        lambda m: with_operator(m, replace(found(m, "pool"), name="again")),
        "again: output y writes pool.output, which already has a value",
    ),
    "writing something that is no value": (
        lambda m: operator(m, "pool", outputs=(("y", "classifier.bias"),)),
        "pool: output y writes classifier.bias, which is state, not value",
    ),
    "changing a constant": (
        lambda m: tensors(m, "stem.weight.low", role=Role.CONSTANT),
        "stem.weight_update: changes stem.weight.low, which is constant, not state",
    ),
    "changing state that is read in another role": (
        lambda m: with_input(m, "stem.bias_update", "scale", "stem.bias"),
        "stem.bias_update: changes stem.bias, which it also reads in another role",
    ),
    "a value nobody writes": (
        lambda m: with_tensor(m, Tensor("ghost", DType.INT8, (1,), Role.VALUE)),
        "value ghost is never written",
    ),
    "an output that does not exist": (
        lambda m: with_outputs(m, "logits", "ghost"),
        "output ghost of graph small is no tensor of it",
    ),
}

DATA = {
    "missing": (
        lambda m: Module(m.graph, {k: v for k, v in m.data.items() if k != "stem.bias"}),
        "tensor stem.bias is state but has no data",
    ),
    "of another shape": (
        lambda m: with_data(m, **{"stem.bias": np.zeros(4, np.int32)}),
        r"tensor stem.bias is int32 \(5,\), but its data is int32 \(4,\)",
    ),
    "of another dtype": (
        lambda m: with_data(m, **{"stem.bias": np.zeros(5, np.int64)}),
        r"tensor stem.bias is int32 \(5,\), but its data is int64 \(5,\)",
    ),
    "of a value": (
        lambda m: with_data(m, **{"logits": np.zeros(4, np.float32)}),
        "there is data for logits, which is neither a constant nor state",
    ),
}

F32, I8, BIT = DType.FLOAT32, DType.INT8, DType.BIT
SHAPES = {
    "convolution, input dtype": (lambda m: tensors(m, "image", dtype=F32), "x and y must be i8"),
    "convolution, input shape": (lambda m: tensors(m, "image", shape=(16, 16, 4)), "x has shape"),
    "convolution, output shape": (lambda m: tensors(m, "stem.output", shape=(8, 8, 6)), "y has shape"),
    "convolution, zero point": (
        lambda m: with_attribute(m, "stem", in_zero=3),
        "in_zero is 3, but image has zero point 0",
    ),
    "convolution, bias": (
        lambda m: with_data(tensors(m, "stem.bias", shape=(6,)), **{"stem.bias": np.zeros(6, np.int32)}),
        r"bias must be i32 \[OC\]",
    ),
    "convolution, mask": (lambda m: tensors(m, "stem.output.mask", dtype=I8), "mask must be like y"),
    "convolution, output size": (
        lambda m: with_attribute(m, "stem", padding=0),
        "output height should be 7, found 8",
    ),
    "convolution, stride": (
        lambda m: with_attribute(m, "stem", stride=0),
        "stride and kernel must be positive",
    ),
    "convolution, attribute of another type": (
        lambda m: with_attribute(m, "stem", stride="2"),
        "attribute stride should be an integer, found '2'",
    ),
    "weights, role": (
        lambda m: tensors(m, "block00.depthwise.weight", role=Role.CONSTANT),
        "trainable weights must be i8 of role state",
    ),
    "weights, shape": (
        lambda m: tensors(m, "block00.depthwise.weight", shape=(5, 9, 1)),
        "trainable weights should have shape",
    ),
    "weights, channels not covered": (
        lambda m: tensors(m, "block00.pointwise2.weight", shape=(6, 1, 1, 4)),
        "weights cover 4 of 5 channels",
    ),
    "depthwise, channel count": (
        lambda m: with_attribute(m, "block00.depthwise", out_channels=6),
        "a depthwise convolution keeps its channel count",
    ),
    "add, shapes": (lambda m: tensors(m, "block07.sum", shape=(1, 1, 11)), "operands have shapes"),
    "add, quantization": (
        lambda m: tensors(m, "block07.sum", quantization=None),
        "operands must be quantized",
    ),
    "pool, shape": (lambda m: tensors(m, "pool.output", shape=(9,)), "y should have shape"),
    "pool, quantization": (
        lambda m: tensors(m, "pool.output", quantization=None),
        "y must be quantized",
    ),
    "dequantize, dtype": (lambda m: tensors(m, "features", dtype=I8), "i8 to f32 of one shape"),
    "classifier, dtype": (lambda m: tensors(m, "logits", dtype=DType.INT32), "operands must be f32"),
    "classifier, shape": (lambda m: tensors(m, "logits", shape=(5,)), "weight has shape"),
    "loss, label": (lambda m: tensors(m, "label", role=Role.INPUT), "label must be an i32 argument"),
    "loss, gradient shape": (
        lambda m: tensors(m, "logits.gradient", shape=(5,)),
        "gradient must be like logits, loss a scalar",
    ),
    "masked scale, shape": (
        lambda m: tensors(m, "stem.output.accumulator_gradient", shape=(8, 8, 6)),
        "gradient, mask and y must have one shape",
    ),
    "update, rounding": (
        lambda m: with_attribute(m, "stem.weight_update", rounding="up"),
        "rounding must be one of nearest, stochastic, extended",
    ),
    "update, low bytes without extended rounding": (
        lambda m: with_attribute(m, "stem.weight_update", rounding="nearest"),
        "low bytes go with extended rounding of int8 weights, and only with it",
    ),
    "update, low bytes of another shape": (
        lambda m: tensors(m, "stem.weight.low", shape=(5, 27)),
        "stem.weight.low should have shape",
    ),
    "update, scale": (
        lambda m: tensors(m, "stem.weight_update_scale", shape=(1, 5)),
        r"scale must be f32 \[5\]",
    ),
    "bias update, bias": (
        lambda m: with_input(m, "block07.pointwise2.bias_update", "bias", "stem.bias"),
        "one bias a channel is needed",
    ),
    "input gradient, shape": (
        lambda m: tensors(m, "stem.output.gradient_from_block00.depthwise", shape=(8, 8, 6)),
        "dx has shape",
    ),
    "residual gradient, shape": (
        lambda m: tensors(m, "block07.pointwise2.output.gradient_from_block07.residual", shape=(10,)),
        "gb has another shape",
    ),
    "pool gradient, shape": (
        lambda m: tensors(m, "block07.sum.gradient_from_pool", shape=(1, 1, 11)),
        "one gradient a channel is needed",
    ),
    "dequantize gradient, shape": (
        lambda m: tensors(m, "pool.output.gradient_from_features", shape=(11,)),
        "f32 of one shape",
    ),
    "classifier's input gradient, shape": (
        lambda m: tensors(m, "features.gradient_from_classifier", shape=(11,)),
        "weight has shape",
    ),
}


def test_a_training_graph_passes(module: Module) -> None:
    assert verify(module) is module


@pytest.mark.parametrize("case", [*STRUCTURE.values(), *DATA.values()], ids=[*STRUCTURE, *DATA])
def test_refuses(module: Module, case: tuple) -> None:
    broken, message = case
    with pytest.raises(GraphError, match=message):
        verify(broken(module))


@pytest.mark.parametrize("case", SHAPES.values(), ids=SHAPES)
def test_refuses_shapes_and_types(module: Module, case: tuple) -> None:
    broken, message = case
    with pytest.raises(GraphError, match=message):
        verify(broken(module))


def test_an_unknown_scale_ratio_of_a_sum_names_the_operator(module: Module) -> None:
    skip = module.graph.tensor("block06.depthwise.output")
    assert skip.quantization is not None
    huge = tensors(module, skip.name, quantization=replace(skip.quantization, scale=1e12))
    with pytest.raises(GraphError, match=r"operator block07.residual \(add\): The scales"):
        verify(huge)
