"""Dead-code removal: operators that change no state and feed no output, and tensors nobody names."""

from __future__ import annotations

from dataclasses import replace

from engine.graph import Graph, Module, Operator
from engine.operators import kind_of


def prune(module: Module) -> Module:
    """The module without operators, optional outputs, constants and values that nothing needs."""
    graph = module.graph
    needed = set(graph.outputs)
    kept: list[Operator] = []
    for op in reversed(graph.operators):
        mutates = any(op.find_input(role) is not None for role in kind_of(op).mutates)
        if not mutates and not any(name in needed for _, name in op.outputs):
            continue
        optional = kind_of(op).optional_outputs
        outputs = tuple((role, name) for role, name in op.outputs if role not in optional or name in needed)
        kept.append(replace(op, outputs=outputs))
        needed.update(name for _, name in op.inputs)
    kept.reverse()
    return module.with_graph(_without_unused_tensors(replace(graph, operators=tuple(kept))))


def _without_unused_tensors(graph: Graph) -> Graph:
    named = {name for op in graph.operators for _, name in (*op.inputs, *op.outputs)}
    named.update(graph.outputs)
    return replace(graph, tensors=tuple(tensor for tensor in graph.tensors if tensor.name in named))
