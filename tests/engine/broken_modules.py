"""A module with one thing changed: what the verifier has to notice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.graph import Module, Operator, Tensor, attributes


def tensors(module: Module, name: str, /, **changes: object) -> Module:
    """The module with one tensor changed."""
    graph = module.graph
    changed = tuple(replace(t, **changes) if t.name == name else t for t in graph.tensors)  # type: ignore[arg-type]
    assert changed != graph.tensors
    return Module(replace(graph, tensors=changed), module.data)


def operator(module: Module, name: str, /, **changes: object) -> Module:
    """The module with one operator changed."""
    graph = module.graph
    changed = tuple(replace(op, **changes) if op.name == name else op for op in graph.operators)  # type: ignore[arg-type]
    assert changed != graph.operators
    return module.with_graph(replace(graph, operators=changed))


def found(module: Module, name: str) -> Operator:
    return next(op for op in module.graph.operators if op.name == name)


def with_input(module: Module, name: str, role: str, tensor: str) -> Module:
    inputs = dict(found(module, name).inputs) | {role: tensor}
    return operator(module, name, inputs=tuple(inputs.items()))


def without(module: Module, name: str, role: str) -> Module:
    op = found(module, name)
    return operator(
        module,
        name,
        inputs=tuple(pair for pair in op.inputs if pair[0] != role),
        outputs=tuple(pair for pair in op.outputs if pair[0] != role),
    )


def with_attribute(module: Module, name: str, **values: int | float | str) -> Module:
    return operator(module, name, attributes=attributes(**{**dict(found(module, name).attributes), **values}))


def moved_behind(module: Module, name: str, other: str) -> Module:
    graph = module.graph
    rest = [op for op in graph.operators if op.name != name]
    rest.insert(rest.index(found(module, other)) + 1, found(module, name))
    return module.with_graph(replace(graph, operators=tuple(rest)))


def with_tensor(module: Module, tensor: Tensor) -> Module:
    return Module(replace(module.graph, tensors=(*module.graph.tensors, tensor)), module.data)


def with_operator(module: Module, op: Operator) -> Module:
    return module.with_graph(replace(module.graph, operators=(*module.graph.operators, op)))


def with_outputs(module: Module, *outputs: str) -> Module:
    return module.with_graph(replace(module.graph, outputs=outputs))


def with_data(module: Module, **data: np.ndarray) -> Module:
    return Module(module.graph, {**module.data, **data})
