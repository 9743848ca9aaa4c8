"""Convolution operands shared by forward, gradient and update: geometry, and weights in flash and SRAM."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.graph import Array, DType, Graph, Operator, Role, attributes
from engine.operators.kind import Emitter, expect
from engine.operators.reference import ConvGeometry

WEIGHT_ROLES = ("frozen", "trainable", "channels")
GEOMETRY_FIELDS = tuple(ConvGeometry.__dataclass_fields__)


def geometry(op: Operator) -> ConvGeometry:
    """The convolution's shape, kept as attributes of the forward operator and of all its gradients."""
    return ConvGeometry(**{field: op.integer(field) for field in GEOMETRY_FIELDS})


def geometry_attributes(g: ConvGeometry) -> dict[str, int]:
    return {field: getattr(g, field) for field in GEOMETRY_FIELDS}


def convolution_attributes(op: Operator) -> dict[str, int]:
    """What gradient operators inherit from their forward operator."""
    return {**geometry_attributes(geometry(op)), "in_zero": op.integer("in_zero")}


def trained_input(layer: str) -> str:
    """Name of the tensor of those input channels whose weights are trained, where that is not all of them."""
    return f"{layer}.trained_input"


def weight_operands(op: Operator) -> dict[str, str | None]:
    return {role: op.find_input(role) for role in WEIGHT_ROLES}


def trainable_count(op: Operator, graph: Graph, *, depthwise: bool) -> int:
    """Number of trainable (input) channels."""
    name = op.find_input("trainable")
    if name is None:
        return 0
    return graph.tensor(name).shape[0 if depthwise else 3]


def is_split(op: Operator) -> bool:
    """Whether the weights lie in two places, so that a row has to be gathered."""
    return op.find_input("channels") is not None


def trainable_channels(op: Operator, values: Mapping[str, Array], count: int) -> Array:
    """Indices of the trainable channels, ascending."""
    channels = values.get("channels")
    return np.arange(count) if channels is None else channels[:count]


def merged_weights(op: Operator, values: Mapping[str, Array], *, depthwise: bool) -> Array:
    """All weights in channel order, from the part in flash and the part in SRAM."""
    channels = values.get("channels")
    parts = [values[role] for role in ("trainable", "frozen") if role in values]
    if channels is None:
        return parts[0]
    axis = 0 if depthwise else 3
    stored = np.concatenate(parts, axis=axis)
    merged = np.empty_like(stored)
    if depthwise:
        merged[channels] = stored
    else:
        merged[..., channels] = stored
    return merged


def check_geometry(op: Operator, *, depthwise: bool) -> None:
    """The output's size follows from the input's."""
    g = geometry(op)
    expect(
        g.stride >= 1 and g.kernel_height >= 1 and g.kernel_width >= 1,
        op,
        "stride and kernel must be positive",
    )
    for axis in ("height", "width"):
        size, kernel = getattr(g, f"in_{axis}"), getattr(g, f"kernel_{axis}")
        expected = (size + 2 * g.padding - kernel) // g.stride + 1
        found = getattr(g, f"out_{axis}")
        expect(found == expected, op, f"output {axis} should be {expected}, found {found}")
    if depthwise:
        expect(g.in_channels == g.out_channels, op, "a depthwise convolution keeps its channel count")


def check_weights(op: Operator, graph: Graph, *, depthwise: bool) -> None:
    """Dtypes, roles and shapes of the weight operands agree with the geometry."""
    g = geometry(op)
    check_geometry(op, depthwise=depthwise)
    total = 0
    for role, where in (("frozen", Role.CONSTANT), ("trainable", Role.STATE)):
        name = op.find_input(role)
        if name is None:
            continue
        tensor = graph.tensor(name)
        expect(
            tensor.dtype is DType.INT8 and tensor.role is where,
            op,
            f"{role} weights must be i8 of role {where}",
        )
        kernel = (g.kernel_height, g.kernel_width)
        count = tensor.shape[0 if depthwise else -1]
        wanted = (count, *kernel) if depthwise else (g.out_channels, *kernel, count)
        expect(tensor.shape == wanted, op, f"{role} weights should have shape {wanted}, found {tensor.shape}")
        total += count
    expect(total == g.in_channels, op, f"weights cover {total} of {g.in_channels} channels")
    channels = op.find_input("channels")
    split = op.find_input("frozen") is not None and op.find_input("trainable") is not None
    expect(
        (channels is not None) == split,
        op,
        "a channel list goes with weights in two places, and only with them",
    )
    if channels is not None:
        tensor = graph.tensor(channels)
        expect(
            tensor.dtype is DType.UINT16 and tensor.shape == (g.in_channels,),
            op,
            "one u16 a channel is needed",
        )


def conv_macs(op: Operator, *, depthwise: bool) -> int:
    """Multiply-accumulates of a dense pass, padding taps included, as the field counts them."""
    g = geometry(op)
    taps = g.kernel_height * g.kernel_width * g.out_height * g.out_width * g.out_channels
    return taps if depthwise else taps * g.in_channels


def declare_convolution(
    op: Operator, emitter: Emitter, multiplier: str | None, suffix: str = "geometry"
) -> str:
    """Define the geometry struct of the layer (once for each suffix) and return a pointer to it."""
    g = geometry(op)
    symbol = emitter.symbol(op, suffix)
    forward = dict(op.attributes)
    emitter.declare(
        symbol,
        f"static const tb_conv_t {symbol} = {{\n"
        f"    .in_height = {g.in_height}, .in_width = {g.in_width}, .in_channels = {g.in_channels},\n"
        f"    .out_height = {g.out_height}, .out_width = {g.out_width}, .out_channels = {g.out_channels},\n"
        f"    .kernel_height = {g.kernel_height}, .kernel_width = {g.kernel_width}, "
        f".stride = {g.stride}, .padding = {g.padding}, .pad_top = {g.padding},\n"
        f"    .in_zero = {op.integer('in_zero')}, .out_zero = {forward.get('out_zero', 0)}, "
        f".shift = {forward.get('shift', 0)},\n"
        f"    .multiplier = {multiplier or '0'}}};",
    )
    return f"&{symbol}"


def declare_weights(
    op: Operator, graph: Graph, emitter: Emitter, *, depthwise: bool, suffix: str = "weights"
) -> str:
    """Define the struct that says where weights of the layer lie (once for each suffix); a pointer to it."""
    symbol = emitter.symbol(op, suffix)
    count = trainable_count(op, graph, depthwise=depthwise)
    emitter.declare(
        symbol,
        f"static const tb_weights_t {symbol} = {{\n"
        f"    .frozen = {emitter.pointer(op.find_input('frozen'))}, "
        f".trainable = {emitter.pointer(op.find_input('trainable'))},\n"
        f"    .channels = {emitter.pointer(op.find_input('channels'))}, .trainable_count = {count}}};",
    )
    return f"&{symbol}"


def inherited(op: Operator, **extra: int | float | str) -> dict[str, int | float | str]:
    """Attributes of a gradient operator of a convolution."""
    return dict(attributes(**{**convolution_attributes(op), **extra}))
