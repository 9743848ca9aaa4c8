"""The invariants of the intermediate representation, checked after lowering and after every pass."""

from __future__ import annotations

import re
from collections.abc import Iterable

from engine.builder import numpy_dtype
from engine.errors import GraphError
from engine.graph import Graph, Module, Operator, Role
from engine.operators import kind_of

_NAME = re.compile(r"[A-Za-z0-9_.:\-]+")


def verify(module: Module) -> Module:
    """Return the module unchanged, or raise GraphError that names the operator and what is wrong."""
    graph = module.graph
    _names("tensor", [tensor.name for tensor in graph.tensors])
    _names("operator", [op.name for op in graph.operators])
    defined = {tensor.name for tensor in graph.tensors if tensor.role is not Role.VALUE}
    mutated: dict[str, str] = {}
    for op in graph.operators:
        _operands(op, graph)
        _reads(op, defined, mutated)
        _writes(op, graph, defined)
        _mutations(op, graph, mutated)
        kind_of(op).check(op, graph)
    _all_written(graph, defined)
    _data(module)
    return module


def _names(what: str, names: Iterable[str]) -> None:
    """Names are unique, and plain enough for the text form and for C."""
    seen: set[str] = set()
    for name in names:
        if not _NAME.fullmatch(name):
            raise GraphError(
                f"{what} {name!r}: a name consists of ASCII letters, digits, underscores, dots, colons "
                "and hyphens"
            )
        if name in seen:
            raise GraphError(f"two {what}s are named {name}")
        seen.add(name)


def _operands(op: Operator, graph: Graph) -> None:
    """Operands are those that the kind declares, and exist."""
    kind = kind_of(op)
    for side, pairs, required, optional in (
        ("input", op.inputs, kind.inputs, kind.optional_inputs),
        ("output", op.outputs, kind.outputs, kind.optional_outputs),
    ):
        roles = [role for role, _ in pairs]
        missing = [role for role in required if role not in roles]
        if missing:
            raise GraphError(
                f"operator {op.name} ({op.kind}): no {side} {missing[0]}; it has {', '.join(roles) or 'none'}"
            )
        extra = [role for role in roles if role not in (*required, *optional) or roles.count(role) > 1]
        if extra:
            raise GraphError(f"operator {op.name} ({op.kind}): unexpected {side} {extra[0]}")
        for _, name in pairs:
            graph.tensor(name)


def _reads(op: Operator, defined: set[str], mutated: dict[str, str]) -> None:
    for role, name in op.inputs:
        if name not in defined:
            raise GraphError(
                f"operator {op.name}: input {role} reads {name} before any operator has written it"
            )
        if name in mutated:
            raise GraphError(
                f"operator {op.name}: input {role} reads {name} after {mutated[name]} has changed it"
            )


def _writes(op: Operator, graph: Graph, defined: set[str]) -> None:
    for role, name in op.outputs:
        tensor = graph.tensor(name)
        if tensor.role is not Role.VALUE:
            raise GraphError(
                f"operator {op.name}: output {role} writes {name}, which is {tensor.role}, not value"
            )
        if name in defined:
            raise GraphError(f"operator {op.name}: output {role} writes {name}, which already has a value")
        defined.add(name)


def _mutations(op: Operator, graph: Graph, mutated: dict[str, str]) -> None:
    for role in kind_of(op).mutates:
        name = op.find_input(role)
        if name is None:
            continue
        if graph.tensor(name).role is not Role.STATE:
            raise GraphError(
                f"operator {op.name}: changes {name}, which is {graph.tensor(name).role}, not state"
            )
        if sum(name == read for _, read in op.inputs) > 1:
            raise GraphError(f"operator {op.name}: changes {name}, which it also reads in another role")
        mutated[name] = op.name


def _all_written(graph: Graph, defined: set[str]) -> None:
    for tensor in graph.tensors:
        if tensor.name not in defined:
            raise GraphError(f"value {tensor.name} is never written")
    for name in graph.outputs:
        if not graph.has(name):
            raise GraphError(f"output {name} of graph {graph.name} is no tensor of it")


def _data(module: Module) -> None:
    """Constants and state have data of their shape and dtype, and nothing else has."""
    for tensor in module.graph.with_role(Role.CONSTANT, Role.STATE):
        data = module.data.get(tensor.name)
        if data is None:
            raise GraphError(f"tensor {tensor.name} is {tensor.role} but has no data")
        expected = numpy_dtype(tensor.dtype)
        if data.shape != tensor.shape or data.dtype != expected:
            raise GraphError(
                f"tensor {tensor.name} is {expected} {tensor.shape}, "
                f"but its data is {data.dtype} {data.shape}"
            )
    for name in module.data:
        if not module.graph.has(name) or module.graph.tensor(name).role not in (Role.CONSTANT, Role.STATE):
            raise GraphError(f"there is data for {name}, which is neither a constant nor state")
