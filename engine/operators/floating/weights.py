"""Operands that float32 convolutions and their gradients share: geometry, and weights in flash and SRAM."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.graph import Array, DType, Graph, Operator, Role
from engine.operators.kind import Emitter, expect
from engine.operators.weights import check_geometry, geometry

CHANNEL_AXIS = 2
"""Of the (input) channels in stored weights, [KH, KW, n, OC] and depthwise [KH, KW, n]."""


def merged_weights(values: Mapping[str, Array]) -> Array:
    """All weights in channel order, from the part in flash and the part in SRAM."""
    channels = values.get("channels")
    parts = [values[role] for role in ("trainable", "frozen") if role in values]
    if channels is None:
        return parts[0]
    stored = np.concatenate(parts, axis=CHANNEL_AXIS)
    merged = np.empty_like(stored)
    merged[:, :, channels] = stored
    return merged


def check_float_weights(op: Operator, graph: Graph, *, depthwise: bool) -> None:
    """Dtypes, roles and shapes of the weight operands agree with the geometry."""
    g = geometry(op)
    check_geometry(op, depthwise=depthwise)
    expect(g.padding < min(g.kernel_height, g.kernel_width), op, "padding must be less than the kernel")
    tail = () if depthwise else (g.out_channels,)
    total = 0
    for role, where in (("frozen", Role.CONSTANT), ("trainable", Role.STATE)):
        name = op.find_input(role)
        if name is None:
            continue
        tensor = graph.tensor(name)
        expect(
            tensor.dtype is DType.FLOAT32 and tensor.role is where, op, f"{role} weights must be f32 {where}"
        )
        count = tensor.shape[CHANNEL_AXIS]
        wanted = (g.kernel_height, g.kernel_width, count, *tail)
        expect(tensor.shape == wanted, op, f"{role} weights should have shape {wanted}, found {tensor.shape}")
        total += count
    expect(total == g.in_channels, op, f"weights cover {total} of {g.in_channels} channels")
    channels = op.find_input("channels")
    split = op.find_input("frozen") is not None and op.find_input("trainable") is not None
    expect(
        (channels is not None) == split, op, "a channel list goes with weights in two places, only with them"
    )
    if channels is not None:
        tensor = graph.tensor(channels)
        fits = tensor.dtype is DType.UINT16 and tensor.shape == (g.in_channels,)
        expect(fits, op, "one u16 a channel is needed")


def check_map(op: Operator, graph: Graph, role: str, shape: tuple[int, ...]) -> None:
    """The operand in `role` is a float32 feature map of this shape."""
    tensor = graph.operand(op, role)
    expect(
        tensor.dtype is DType.FLOAT32 and tensor.shape == shape,
        op,
        f"{role} must be f32 {shape}, found {tensor.dtype} {tensor.shape}",
    )


def declare_geometry(op: Operator, emitter: Emitter) -> str:
    """Define the geometry struct of the layer and return a pointer to it."""
    g = geometry(op)
    symbol = emitter.symbol(op, "geometry")
    emitter.declare(
        symbol,
        f"static const tb_conv_t {symbol} = {{\n"
        f"    .in_height = {g.in_height}, .in_width = {g.in_width}, .in_channels = {g.in_channels},\n"
        f"    .out_height = {g.out_height}, .out_width = {g.out_width}, .out_channels = {g.out_channels},\n"
        f"    .kernel_height = {g.kernel_height}, .kernel_width = {g.kernel_width}, "
        f".stride = {g.stride}, .padding = {g.padding}}};",
    )
    return f"&{symbol}"


def declare_float_weights(op: Operator, graph: Graph, emitter: Emitter) -> str:
    """Define the struct that says where weights of the layer lie; a pointer to it."""
    symbol = emitter.symbol(op, "weights")
    trainable = op.find_input("trainable")
    count = 0 if trainable is None else graph.tensor(trainable).shape[CHANNEL_AXIS]
    emitter.declare(
        symbol,
        f"static const tb_float_weights_t {symbol} = {{\n"
        f"    .frozen = {emitter.pointer(op.find_input('frozen'))}, "
        f".trainable = {emitter.pointer(trainable)},\n"
        f"    .channels = {emitter.pointer(op.find_input('channels'))}, .trainable_count = {count}}};",
    )
    return f"&{symbol}"
