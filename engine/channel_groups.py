"""Channel groups: a run of backward operators around a depthwise convolution run together by groups of its
channels, so that the gradients between them, the largest of the backward pass, never exist whole.

Such a region is a run of consecutive operators. Its first computes a gradient of which one channel does not
need the others of the result: that of the input of a depthwise convolution, or of a pointwise one. The others
treat channels apart (masked_scale, another depthwise gradient, updates of biases and of rows of pointwise
weights) or sum over them (the gradient of a pointwise convolution's input, which then grows group by group).
What lies between them has room for one group.

Channels change no result, only when it is computed and where it is kept: sums are taken in ascending order of
channels as ever. A shared exponent of int16 gradients is that of all channels, so the depthwise gradient is
computed twice: first for its exponent. Sums of an int16 gradient stay 32 bits wide until the last group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from engine.errors import PlanError
from engine.graph import DType, Graph, Operator, attributes
from engine.operators import kind_of
from engine.operators.exponents import is_exponent_role
from engine.operators.scratch import bias_update_scratch
from engine.operators.weights import geometry, geometry_attributes, is_split

MULTIPLE = 8
"""Channels: masks of a group begin at a byte, and so do those of the next pixel."""
_DEPTHWISE = ("depthwise_conv2d_grad_input", "depthwise_conv2d_grad_input_i16")
_INPUT_GRADIENTS = ("conv2d_grad_input", "conv2d_grad_input_i16")
_SCALES = ("masked_scale", "masked_scale_i16")
_BIASES = ("bias_update", "bias_update_i16")
_UPDATES = ("conv2d_update", "conv2d_update_i16")
_SUM_BYTES = 4


@dataclass(frozen=True)
class ChannelRegion:
    """Operators [first, last) of a graph, run together by so many channels at a time, or fewer."""

    first: int
    last: int
    channels: int


@dataclass(frozen=True)
class GroupBuffer:
    """Room for one group of channels of a gradient; `tensors` follow each other there, in place."""

    tensors: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class Grouped:
    """A region worked out.

    `total`: channels. `sums`: the gradient that the region leaves, if any, and its bytes while it is being
    summed. `repeated`: bytes that operators read or write again, and products that they compute again,
    because they run by groups.
    """

    region: ChannelRegion
    total: int
    buffers: tuple[GroupBuffer, ...]
    sums: tuple[str, int] | None
    scratch_bytes: int
    groups: int
    repeated: int


def channels_of(op: Operator) -> int:
    """How many channels the region that begins with this operator has."""
    return geometry(op).in_channels


def chain_end(graph: Graph, first: int, readers: Mapping[str, list[int]]) -> int:
    """The only `last` for which operators [first, last) can be run by groups; first + 1 if there is none."""
    operators = graph.operators
    if not _begins(operators[first]):
        return first + 1
    value, inside = operators[first].output("dx"), {operators[first].output("dx")}
    depthwise = operators[first].kind in _DEPTHWISE
    last, summed = first + 1, False
    while last < len(operators) and operators[last].find_input("gradient") == value:
        op = operators[last]
        if op.kind in _SCALES:
            value = op.output("y")
        elif op.kind == "depthwise_conv2d_grad_input" and not depthwise and not is_split(op):
            value, depthwise = op.output("dx"), True
        elif op.kind in _INPUT_GRADIENTS and not summed and geometry(op).is_pointwise:
            summed = True
        elif not (op.kind in _BIASES or (op.kind in _UPDATES and geometry(op).is_pointwise)):
            break
        if op.kind not in _INPUT_GRADIENTS:
            inside.update(name for role, name in op.outputs if not is_exponent_role(role))
        last += 1
    read_later = any(reader >= last for name in inside for reader in readers[name])
    if last == first + 1 or read_later or inside & set(graph.outputs):
        return first + 1
    return last


def _begins(op: Operator) -> bool:
    if op.kind not in ("conv2d_grad_input", *_DEPTHWISE) or is_split(op):
        return False
    g = geometry(op)
    fits = g.in_channels % MULTIPLE == 0 and g.in_channels > MULTIPLE
    return fits and (op.kind in _DEPTHWISE or g.is_pointwise)


def sums_channels(op: Operator, index: int, region: ChannelRegion) -> bool:
    """Whether the operator of a region sums over channels, so that its result exists whole."""
    return op.kind in _INPUT_GRADIENTS and index > region.first


def split_tensors(graph: Graph, region: ChannelRegion) -> tuple[str, ...]:
    """The gradients that exist one group at a time."""
    return tuple(
        name
        for index in range(region.first, region.last)
        if not sums_channels(graph.operators[index], index, region)
        for role, name in graph.operators[index].outputs
        if not is_exponent_role(role)
    )


def work_out(graph: Graph, region: ChannelRegion) -> Grouped:
    """Buffers, scratch and cost of a region; PlanError if its operators cannot be run by these groups."""
    operators = graph.operators[region.first : region.last]
    fits = chain_end(graph, region.first, graph.readers()) == region.last
    if not fits or region.channels < 1 or region.channels % MULTIPLE != 0:
        raise PlanError(
            f"a region of {graph.name} by groups of channels needs a chain of operators and a multiple of "
            f"{MULTIPLE} channels, found {region}"
        )
    total = channels_of(operators[0])
    channels = min(region.channels, total)
    sums = [op.output("dx") for op in operators[1:] if op.kind in _INPUT_GRADIENTS]
    sizes = {channels, total % channels or channels}
    return Grouped(
        region=region,
        total=total,
        buffers=_buffers(graph, operators, channels),
        sums=(sums[0], _SUM_BYTES * graph.tensor(sums[0]).elements) if sums else None,
        scratch_bytes=max(_scratch(graph, op, size) for op in operators for size in sizes),
        groups=-(-total // channels),
        repeated=_repeated(graph, operators, -(-total // channels)),
    )


def _buffers(graph: Graph, operators: tuple[Operator, ...], channels: int) -> tuple[GroupBuffer, ...]:
    """One for each gradient that is computed, with what masked_scale makes of it in place."""
    names: list[list[str]] = []
    for op in operators:
        if op.kind in _SCALES:
            names[-1].append(op.output("y"))
        elif op is operators[0] or op.kind in _DEPTHWISE:
            names.append([op.output("dx")])
    sizes = (graph.tensor(tensors[0]) for tensors in names)
    return tuple(
        GroupBuffer(tuple(tensors), channels * (tensor.bytes // tensor.shape[-1]))
        for tensors, tensor in zip(names, sizes, strict=True)
    )


def _scratch(graph: Graph, op: Operator, channels: int) -> int:
    """Scratch of an operator called for so many channels."""
    if op.kind in _BIASES:
        return bias_update_scratch(channels)
    if op.kind in _SCALES:
        return 0
    g = geometry(op)
    if op.kind in _DEPTHWISE:
        part = replace(g, in_channels=channels, out_channels=channels)
    else:
        part = replace(g, out_channels=channels)
    changed = replace(op, attributes=attributes(**{**dict(op.attributes), **geometry_attributes(part)}))
    return kind_of(op).scratch_bytes(changed, graph)


def _repeated(graph: Graph, operators: tuple[Operator, ...], groups: int) -> int:
    """What is read and written again, and products of which the exponent has to be known first."""
    first = operators[0]
    total = 0
    if first.kind in _INPUT_GRADIENTS:
        total += (groups - 1) * graph.operand(first, "gradient").bytes
    elif graph.operand(first, "dx").dtype is DType.INT16:
        total += kind_of(first).macs(first, graph)
    for op in operators[1:]:
        if op.kind in _INPUT_GRADIENTS:
            total += 2 * (groups - 1) * _SUM_BYTES * graph.operand(op, "dx").elements
        elif op.kind in _UPDATES:
            total += (groups - 1) * graph.operand(op, "x").bytes
    return total
