"""The intermediate representation: one graph for forward, backward and update.

Grammar (see `engine/text.py` for the printed form):

    graph    := name, tensors, operators in execution order, outputs
    tensor   := name, dtype, shape, role, quantization?
    role     := argument | input | constant | state | value
    operator := kind, name, layer, inputs (role = tensor), outputs (role = tensor), attributes

Values are in static single assignment form; only `state` tensors are mutated, and only by operators whose
kind declares it. A state tensor is never read after an operator of the same step has mutated it. All
collections are ordered tuples, so that printing, planning and generating code give the same bytes every time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from engine.errors import GraphError

Attribute = int | float | str
Array = NDArray[Any]
"""Its dtype is the tensor's `DType`, known when the graph is run; the verifier checks it for stored data."""


class DType(StrEnum):
    """Element types. `bit` is one clamp-mask bit, packed eight to a byte in flat HWC order."""

    INT8 = "i8"
    UINT8 = "u8"
    INT16 = "i16"
    UINT16 = "u16"
    INT32 = "i32"
    FLOAT32 = "f32"
    BIT = "bit"


_BITS = {
    DType.INT8: 8,
    DType.UINT8: 8,
    DType.INT16: 16,
    DType.UINT16: 16,
    DType.INT32: 32,
    DType.FLOAT32: 32,
    DType.BIT: 1,
}


class Role(StrEnum):
    """Where a tensor lives: function argument, arena (input, value), flash (constant) or SRAM (state)."""

    ARGUMENT = "argument"
    INPUT = "input"
    CONSTANT = "constant"
    STATE = "state"
    VALUE = "value"


class Phase(StrEnum):
    FORWARD = "forward"
    BACKWARD = "backward"
    UPDATE = "update"


@dataclass(frozen=True)
class Quantization:
    """real = scale · (stored − zero_point), per tensor."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Tensor:
    """A typed tensor. Activations and gradients are HWC; a scalar has shape ()."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    role: Role
    quantization: Quantization | None = None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Stored size; masks are rounded up to whole bytes."""
        return (self.elements * _BITS[self.dtype] + 7) // 8

    @property
    def in_arena(self) -> bool:
        """Whether the memory plan gives it an offset. Scalars are C locals."""
        return self.role in (Role.INPUT, Role.VALUE) and self.shape != ()


@dataclass(frozen=True)
class Operator:
    """One operator of the network's layer `layer`; operands are named by their role in the kind."""

    kind: str
    name: str
    layer: str
    phase: Phase
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    attributes: tuple[tuple[str, Attribute], ...] = ()

    def input(self, role: str) -> str:
        """Name of the tensor in an input role; GraphError if the operator has none."""
        return _lookup(self.inputs, role, self.name, "input")

    def output(self, role: str) -> str:
        return _lookup(self.outputs, role, self.name, "output")

    def find_input(self, role: str) -> str | None:
        return dict(self.inputs).get(role)

    def find_output(self, role: str) -> str | None:
        return dict(self.outputs).get(role)

    def integer(self, key: str) -> int:
        value = dict(self.attributes).get(key)
        if not isinstance(value, int):
            raise GraphError(f"operator {self.name}: attribute {key} should be an integer, found {value!r}")
        return value

    def number(self, key: str) -> float:
        value = dict(self.attributes).get(key)
        if not isinstance(value, float):
            raise GraphError(f"operator {self.name}: attribute {key} should be a float, found {value!r}")
        return value

    def text(self, key: str) -> str:
        value = dict(self.attributes).get(key)
        if not isinstance(value, str):
            raise GraphError(f"operator {self.name}: attribute {key} should be a text, found {value!r}")
        return value


def _lookup(pairs: tuple[tuple[str, str], ...], role: str, name: str, side: str) -> str:
    for key, tensor in pairs:
        if key == role:
            return tensor
    present = ", ".join(key for key, _ in pairs) or "none"
    raise GraphError(f"operator {name}: no {side} {role}; it has {present}")


def attributes(**values: Attribute) -> tuple[tuple[str, Attribute], ...]:
    """Attributes in their canonical (sorted) order."""
    return tuple(sorted(values.items()))


@dataclass(frozen=True)
class Graph:
    """Tensors and operators in execution order. Structure only: `Module` adds the constants' data."""

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    outputs: tuple[str, ...]

    @cached_property
    def _by_name(self) -> Mapping[str, Tensor]:
        return {tensor.name: tensor for tensor in self.tensors}

    def tensor(self, name: str) -> Tensor:
        try:
            return self._by_name[name]
        except KeyError:
            raise GraphError(f"graph {self.name} has no tensor named {name}") from None

    def has(self, name: str) -> bool:
        return name in self._by_name

    def with_role(self, *roles: Role) -> Iterator[Tensor]:
        return (tensor for tensor in self.tensors if tensor.role in roles)

    def operand(self, operator: Operator, role: str) -> Tensor:
        """The tensor in an input or output role of an operator."""
        name = operator.find_input(role) or operator.find_output(role)
        if name is None:
            raise GraphError(f"operator {operator.name} ({operator.kind}) has no operand {role}")
        return self.tensor(name)

    def producers(self) -> dict[str, int]:
        """value name → index of the operator that writes it."""
        return {name: index for index, op in enumerate(self.operators) for _, name in op.outputs}

    def readers(self) -> dict[str, list[int]]:
        """tensor name → indices of the operators that read it, ascending."""
        found: dict[str, list[int]] = {tensor.name: [] for tensor in self.tensors}
        for index, op in enumerate(self.operators):
            for _, name in op.inputs:
                if not found[name] or found[name][-1] != index:
                    found[name].append(index)
        return found

    def reordered(self, order: Iterable[int]) -> Graph:
        """The same graph with its operators in another order."""
        return replace(self, operators=tuple(self.operators[index] for index in order))


@dataclass(frozen=True)
class Module:
    """A graph with the data of its constants and the initial values of its state."""

    graph: Graph
    data: Mapping[str, Array]

    def with_graph(self, graph: Graph) -> Module:
        """Keep only the data that the new graph still names."""
        return Module(
            graph,
            {tensor.name: self.data[tensor.name] for tensor in graph.tensors if tensor.name in self.data},
        )
