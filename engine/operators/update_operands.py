"""Operands shared by all updates of quantized tensors: scale, low bytes, accumulator, rounding."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.graph import Array, DType, Graph, Operator, Role, Tensor
from engine.operators import reference
from engine.operators.fixed_point import Float32
from engine.operators.kind import Emitter, StepContext, expect
from engine.operators.updates import Rounding

ROUNDINGS = tuple(rounding.name.lower() for rounding in Rounding)


def rounding_of(op: Operator) -> Rounding:
    return Rounding[op.text("rounding").upper()]


def check_update(op: Operator, graph: Graph, updated: Tensor, channels: int) -> None:
    """The update's scale, low bytes and accumulator fit the tensor it updates."""
    scale = graph.operand(op, "scale")
    expect(scale.dtype is DType.FLOAT32 and scale.shape == (channels,), op, f"scale must be f32 [{channels}]")
    expect(op.text("rounding") in ROUNDINGS, op, f"rounding must be one of {', '.join(ROUNDINGS)}")
    low, accumulator = op.find_input("low"), op.find_input("accumulator")
    extended = rounding_of(op) is Rounding.EXTENDED and updated.dtype is DType.INT8
    expect(
        (low is not None) == extended,
        op,
        "low bytes go with extended rounding of int8 weights, and only with it",
    )
    for name, dtype in ((low, DType.UINT8), (accumulator, DType.FLOAT32)):
        if name is not None:
            tensor = graph.tensor(name)
            expect(tensor.dtype is dtype and tensor.role is Role.STATE, op, f"{name} must be {dtype} state")
            expect(
                tensor.shape == updated.shape,
                op,
                f"{name} should have shape {updated.shape}, found {tensor.shape}",
            )


def accumulated(
    gradient: Float32, values: Mapping[str, Array], step: StepContext
) -> tuple[Float32 | None, dict[str, Array]]:
    """Route a gradient through its accumulator, if it has one.

    Returns the gradient to apply now (None while images are still being collected) and the accumulator's new
    value.
    """
    if "accumulator" not in values:
        return gradient, {}
    total = reference.accumulate(values["accumulator"], gradient)
    if not step.apply:
        return None, {"accumulator": total}
    return reference.mean_gradient(total, step.images_per_update), {"accumulator": np.zeros_like(total)}


def apply_int8_update(
    op: Operator, gradient: Float32, scale: Array, values: Mapping[str, Array], step: StepContext
) -> dict[str, Array]:
    """New trainable weights (and low bytes, accumulator) after one image's gradient."""
    ready, result = accumulated(gradient, values, step)
    if ready is None:
        return result
    weights, low = reference.apply_int8(
        values["trainable"],
        ready,
        scale,
        step.learning_rate,
        rounding_of(op),
        step.step_key,
        op.integer("stream"),
        values.get("low"),
    )
    result["trainable"] = weights
    if low is not None:
        result["low"] = low
    return result


def declare_update(op: Operator, emitter: Emitter, suffix: str) -> str:
    """Define the struct that says how a tensor is updated and return a pointer to it."""
    symbol = emitter.symbol(op, suffix)
    emitter.declare(
        symbol,
        f"static const tb_update_t {symbol} = {{\n"
        f"    .scale = {emitter.pointer(op.input('scale'))}, .stream = {op.integer('stream')}u, "
        f".rounding = TB_{op.text('rounding').upper()},\n"
        f"    .low = {emitter.pointer(op.find_input('low'))}, "
        f".accumulator = {emitter.pointer(op.find_input('accumulator'))}}};",
    )
    return f"&{symbol}"
