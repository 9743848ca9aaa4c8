"""Builds a module operator by operator; used by the lowering and by autodiff."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from engine.errors import GraphError
from engine.graph import (
    Array,
    Attribute,
    DType,
    Graph,
    Module,
    Operator,
    Phase,
    Quantization,
    Role,
    Tensor,
    attributes,
)

_NUMPY: dict[DType, np.dtype[Any]] = {
    DType.INT8: np.dtype(np.int8),
    DType.UINT8: np.dtype(np.uint8),
    DType.INT16: np.dtype(np.int16),
    DType.UINT16: np.dtype(np.uint16),
    DType.INT32: np.dtype(np.int32),
    DType.FLOAT32: np.dtype(np.float32),
    DType.BIT: np.dtype(np.bool_),
}


def numpy_dtype(dtype: DType) -> np.dtype[Any]:
    """How the interpreter holds a dtype; masks are unpacked booleans there."""
    return _NUMPY[dtype]


class ModuleBuilder:
    """Mutable while building; `finish()` gives the frozen module."""

    def __init__(self, name: str, start: Module | None = None) -> None:
        self._name = name
        self._tensors: dict[str, Tensor] = {}
        self._operators: list[Operator] = []
        self._data: dict[str, Array] = {}
        if start is not None:
            self._tensors = {tensor.name: tensor for tensor in start.graph.tensors}
            self._operators = list(start.graph.operators)
            self._data = dict(start.data)

    def has(self, name: str) -> bool:
        return name in self._tensors

    def tensor(self, name: str) -> Tensor:
        return self._tensors[name]

    @property
    def operators(self) -> tuple[Operator, ...]:
        return tuple(self._operators)

    def _add(self, tensor: Tensor) -> str:
        if tensor.name in self._tensors:
            raise GraphError(f"graph {self._name}: two tensors are named {tensor.name}")
        self._tensors[tensor.name] = tensor
        return tensor.name

    def argument(self, name: str, dtype: DType) -> str:
        return self._add(Tensor(name, dtype, (), Role.ARGUMENT))

    def input(self, name: str, shape: tuple[int, ...], quantization: Quantization) -> str:
        return self._add(Tensor(name, DType.INT8, shape, Role.INPUT, quantization))

    def _stored(
        self, name: str, dtype: DType, role: Role, data: Array, quantization: Quantization | None = None
    ) -> str:
        if data.dtype != numpy_dtype(dtype):
            raise GraphError(f"tensor {name}: data of dtype {data.dtype} for a tensor of {dtype}")
        self._data[name] = np.ascontiguousarray(data)
        return self._add(Tensor(name, dtype, data.shape, role, quantization))

    def constant(self, name: str, dtype: DType, data: Array, quantization: Quantization | None = None) -> str:
        return self._stored(name, dtype, Role.CONSTANT, data, quantization)

    def state(self, name: str, dtype: DType, data: Array) -> str:
        return self._stored(name, dtype, Role.STATE, data)

    def value(
        self, name: str, dtype: DType, shape: tuple[int, ...], quantization: Quantization | None = None
    ) -> str:
        return self._add(Tensor(name, dtype, shape, Role.VALUE, quantization))

    def operator(
        self,
        kind: str,
        name: str,
        layer: str,
        phase: Phase,
        inputs: dict[str, str | None],
        outputs: dict[str, str | None],
        **values: Attribute,
    ) -> Operator:
        """Append an operator; operands given as None are left out."""
        op = Operator(
            kind,
            name,
            layer,
            phase,
            tuple((role, tensor) for role, tensor in inputs.items() if tensor is not None),
            tuple((role, tensor) for role, tensor in outputs.items() if tensor is not None),
            attributes(**values),
        )
        self._operators.append(op)
        return op

    def add_output(self, operator_name: str, role: str, tensor: str) -> None:
        """Give an existing operator one more output (the clamp mask that a gradient turns out to need)."""
        for index, op in enumerate(self._operators):
            if op.name == operator_name:
                self._operators[index] = replace(op, outputs=(*op.outputs, (role, tensor)))
                return
        raise GraphError(f"graph {self._name} has no operator named {operator_name}")

    def finish(self, outputs: tuple[str, ...]) -> Module:
        graph = Graph(self._name, tuple(self._tensors.values()), tuple(self._operators), outputs)
        return Module(graph, dict(self._data))
