"""The C of a region that is run by groups of channels: a loop over groups."""

from __future__ import annotations

from engine.channel_groups import ChannelRegion, Grouped, split_tensors, sums_channels, work_out
from engine.codegen.c_text import comment, identifier
from engine.codegen.emitter import CEmitter
from engine.graph import DType, Graph, Operator
from engine.operators import kind_of
from engine.operators.exponents import is_exponent_role
from engine.operators.kind import GroupStage


def groups_call(graph: Graph, region: ChannelRegion) -> str:
    """The statement that runs a region."""
    arguments = ", ".join(["&step", *_exponents_read(graph, region)])
    call = f"{_function(graph, region)}({arguments});"
    left = _exponent_left(graph, region)
    return call if left is None else f"const int32_t {left} = {call}"


def groups_source(graph: Graph, emitter: CEmitter, region: ChannelRegion, described: list[str]) -> str:
    """A function that runs a region; `described` holds the comment of each of its operators."""
    grouped = work_out(graph, region)
    left = _exponent_left(graph, region)
    parameters = ", ".join(
        ["const tb_step_t *step", *(f"int32_t {name}" for name in _exponents_read(graph, region))]
    )
    before: list[str] = []
    each: list[str] = []
    after: list[str] = []
    for index, text in enumerate(described, region.first):
        op = graph.operators[index]
        code = kind_of(op).emit_group(op, graph, emitter, _stage(graph, emitter, grouped, index))
        mark = f"TRAINER_MARK({index}u);"
        if code.before:
            before += [
                f"  /* {index} {comment(op.name)}, of all channels */",
                f"  {mark}",
                f"  {code.before}",
            ]
        each += [f"    /* {index} {comment(text)} */", f"    {mark}", f"    {code.each}"]
        last = kind_of(op).emit_last(op, graph, emitter, "step")
        for statement in filter(None, (code.after, last)):
            after += [f"  {mark}", f"  {statement}"]
    size, total = region.channels, grouped.total
    return "\n".join(
        [
            _head(graph, grouped),
            f"static {'void' if left is None else 'int32_t'} {_function(graph, region)}({parameters}) {{",
            *before,
            f"  for (uint32_t first = 0; first < {total}u; first += {size}u) {{",
            f"    const tb_channel_group_t group = tb_channel_group(first, {size}u, {total}u);",
            *each,
            "  }",
            *after,
            "  (void)step;" if left is None else f"  return {left};",
            "}",
        ]
    )


def _function(graph: Graph, region: ChannelRegion) -> str:
    """Name of the C function of a region: after its first layer."""
    return f"groups_{identifier(graph.operators[region.first].layer)}"


def _head(graph: Graph, grouped: Grouped) -> str:
    operators = graph.operators[grouped.region.first : grouped.region.last]
    names = ", ".join(buffer.tensors[0] for buffer in grouped.buffers)
    size = grouped.region.channels
    return (
        f"/* {comment(f'{operators[0].name} to {operators[-1].name}')} by groups of {size} channels;\n"
        f" * of these only one group exists at a time: {comment(names)}. */"
    )


def _stage(graph: Graph, emitter: CEmitter, grouped: Grouped, index: int) -> GroupStage:
    region, op = grouped.region, graph.operators[index]
    split = split_tensors(graph, region)
    gradient, distance = op.input("gradient"), "group.count"
    if gradient in split:
        read = emitter.group(gradient)
    else:
        first = " + first" if op.kind != "conv2d_grad_input" else ""
        read, distance = f"{emitter.pointer(gradient)}{first}", "group.total"
    written = _gradient_written(op)
    if written is None:
        result = ""
    elif written in split:
        result = emitter.group(written)
    elif graph.tensor(written).dtype is DType.INT16:
        result = emitter.sums(written)
    else:
        result = emitter.pointer(written)
    splits = not sums_channels(op, index, region)
    return GroupStage("&group", region.channels, read, distance, result, splits)


def _gradient_written(op: Operator) -> str | None:
    return next((name for role, name in op.outputs if not is_exponent_role(role)), None)


def _exponents_read(graph: Graph, region: ChannelRegion) -> list[str]:
    """C names of the exponents that a region's operators read and none of them finds."""
    operators = graph.operators[region.first : region.last]
    found = {name for op in operators for _, name in op.outputs}
    read = {name: None for op in operators for role, name in op.inputs if is_exponent_role(role)}
    return [identifier(name) for name in read if name not in found]


def _exponent_left(graph: Graph, region: ChannelRegion) -> str | None:
    """C name of the exponent of the gradient that a region leaves; None where there is none."""
    for index in range(region.first, region.last):
        op = graph.operators[index]
        if sums_channels(op, index, region) and graph.operand(op, "dx").dtype is DType.INT16:
            return identifier(op.output("dx_exponent"))
    return None
