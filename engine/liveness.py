"""From an ordered graph to arena buffers: lifetimes, in-place groups, scratch."""

from __future__ import annotations

from dataclasses import dataclass

from engine.graph import DType, Graph, Operator, Role, Tensor
from engine.operators import kind_of


@dataclass(frozen=True)
class Lifetime:
    """An arena buffer: the tensors that share it (an in-place chain), its operators [first, last)."""

    name: str
    tensors: tuple[str, ...]
    size: int
    """Bytes."""
    first: int
    last: int
    what: str
    """input, activation, mask, gradient or scratch."""


def lifetimes(graph: Graph) -> tuple[Lifetime, ...]:
    """All arena buffers of a graph in execution order. Graph outputs live to the end, inputs from 0."""
    spans = _spans(graph)
    groups = _in_place_groups(graph, spans)
    buffers = []
    for members in groups:
        tensors = [graph.tensor(name) for name in members]
        buffers.append(
            Lifetime(
                name=members[0],
                tensors=tuple(members),
                size=max(tensor.bytes for tensor in tensors),
                first=min(spans[name][0] for name in members),
                last=max(spans[name][1] for name in members),
                what=_what(tensors[0]),
            )
        )
    for index, op in enumerate(graph.operators):
        size = kind_of(op).scratch_bytes(op, graph)
        if size:
            name = scratch_name(op)
            buffers.append(Lifetime(name, (name,), size, index, index + 1, "scratch"))
    return tuple(buffers)


def scratch_name(op: Operator) -> str:
    return f"{op.name}.scratch"


def live_bytes(graph: Graph) -> list[int]:
    """Arena bytes live during each operator."""
    totals = [0] * len(graph.operators)
    for buffer in lifetimes(graph):
        for index in range(buffer.first, buffer.last):
            totals[index] += buffer.size
    return totals


def peak_live_bytes(graph: Graph) -> int:
    """The most bytes live at once: no plan of this order can be smaller."""
    return max(live_bytes(graph), default=0)


def _spans(graph: Graph) -> dict[str, tuple[int, int]]:
    """Tensor → [first, last) in operator indices, for what lives in the arena."""
    producers, readers = graph.producers(), graph.readers()
    end = len(graph.operators)
    spans = {}
    for tensor in graph.tensors:
        if not tensor.in_arena:
            continue
        first = 0 if tensor.role is Role.INPUT else producers[tensor.name]
        last = end if tensor.name in graph.outputs else max([first, *readers[tensor.name]]) + 1
        spans[tensor.name] = (first, last)
    return spans


def _in_place_groups(graph: Graph, spans: dict[str, tuple[int, int]]) -> list[list[str]]:
    """Chains of tensors where an operator writes its output over an input that dies there."""
    group_of: dict[str, list[str]] = {name: [name] for name in spans}
    for index, op in enumerate(graph.operators):
        taken: set[str] = set()
        for input_role, output_role in kind_of(op).in_place:
            source, result = op.find_input(input_role), op.find_output(output_role)
            if source is None or result is None or source in taken or result in taken:
                continue
            if source not in spans or spans[source][1] != index + 1 or source in graph.outputs:
                continue
            if graph.tensor(source).bytes != graph.tensor(result).bytes or _reads_twice(op, source):
                continue
            merged = [*group_of[source], *group_of[result]]
            for name in merged:
                group_of[name] = merged
            taken.update((source, result))
    unique: list[list[str]] = []
    for name in spans:
        if group_of[name][0] == name:
            unique.append(group_of[name])
    return unique


def _reads_twice(op: Operator, name: str) -> bool:
    return sum(tensor == name for _, tensor in op.inputs) > 1


def _what(tensor: Tensor) -> str:
    if tensor.role is Role.INPUT:
        return "input"
    if tensor.dtype is DType.BIT:
        return "mask"
    is_gradient = tensor.dtype is DType.FLOAT32 and "gradient" in tensor.name
    return "gradient" if is_gradient else "activation"
