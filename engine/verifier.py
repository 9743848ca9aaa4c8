"""The invariants of the intermediate representation, checked after lowering and after every pass."""

from __future__ import annotations

from engine.errors import GraphError
from engine.graph import Graph, Module, Operator, Role
from engine.operators import kind_of


def verify(module: Module) -> Module:
    """Return the module unchanged, or raise GraphError that names the operator and what is wrong."""
    graph = module.graph
    _unique(graph)
    defined = {tensor.name for tensor in graph.tensors if tensor.role is not Role.VALUE}
    mutated: dict[str, str] = {}
    for op in graph.operators:
        _operands(op, graph)
        for role, name in op.inputs:
            if name not in defined:
                raise GraphError(f"operator {op.name}: input {role} reads {name} before any operator has written it")
            if name in mutated and mutated[name] != op.name:
                raise GraphError(f"operator {op.name}: input {role} reads {name} after {mutated[name]} has changed it")
        for role, name in op.outputs:
            if name in defined:
                raise GraphError(f"operator {op.name}: output {role} writes {name}, which already has a value")
            if graph.tensor(name).role is not Role.VALUE:
                raise GraphError(f"operator {op.name}: output {role} writes {name}, which is {graph.tensor(name).role}")
            defined.add(name)
        for role in kind_of(op).mutates:
            state = op.find_input(role)
            if state is None:
                continue
            if graph.tensor(state).role is not Role.STATE:
                raise GraphError(f"operator {op.name}: changes {state}, which is {graph.tensor(state).role}, not state")
            mutated[state] = op.name
        kind_of(op).check(op, graph)
    for name in graph.outputs:
        if name not in defined:
            raise GraphError(f"graph {graph.name}: output {name} is never written")
    _data(module)
    return module


def _unique(graph: Graph) -> None:
    for what, names in (
        ("tensors", [tensor.name for tensor in graph.tensors]),
        ("operators", [op.name for op in graph.operators]),
    ):
        seen: set[str] = set()
        for name in names:
            if name in seen:
                raise GraphError(f"graph {graph.name}: two {what} are named {name}")
            seen.add(name)


def _operands(op: Operator, graph: Graph) -> None:
    kind = kind_of(op)
    for side, pairs, required, optional in (
        ("input", op.inputs, kind.inputs, kind.optional_inputs),
        ("output", op.outputs, kind.outputs, kind.optional_outputs),
    ):
        roles = [role for role, _ in pairs]
        missing = [role for role in required if role not in roles]
        if missing:
            raise GraphError(f"operator {op.name} ({op.kind}): no {side} {missing[0]}; it has {', '.join(roles) or 'none'}")
        extra = [role for role in roles if role not in (*required, *optional) or roles.count(role) > 1]
        if extra:
            raise GraphError(f"operator {op.name} ({op.kind}): unexpected {side} {extra[0]}")
        for _, name in pairs:
            graph.tensor(name)


def _data(module: Module) -> None:
    for tensor in module.graph.with_role(Role.CONSTANT, Role.STATE):
        data = module.data.get(tensor.name)
        if data is None:
            raise GraphError(f"tensor {tensor.name} is {tensor.role} but has no data")
        if data.shape != tensor.shape:
            raise GraphError(f"tensor {tensor.name}: shape {tensor.shape}, but its data has {data.shape}")
