"""C names and expressions for the tensors of a planned module."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from engine.errors import CodegenError
from engine.graph import DType, Graph, Operator, Role
from engine.liveness import scratch_name

C_TYPES = {
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.UINT16: "uint16_t",
    DType.INT32: "int32_t",
    DType.FLOAT32: "float",
    DType.BIT: "uint8_t",
}


def identifier(name: str) -> str:
    """A C identifier from a tensor or layer name: 'block01.pointwise1.weight' → 'block01_pointwise1_weight'."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    return text if not text[:1].isdigit() else f"n{text}"


def check_identifiers(graph: Graph) -> None:
    """Raise CodegenError where two tensors would get one C name."""
    seen: dict[str, str] = {}
    for tensor in graph.tensors:
        symbol = identifier(tensor.name)
        if symbol in seen:
            raise CodegenError(f"tensors {seen[symbol]} and {tensor.name} would both be called {symbol} in C; rename one")
        seen[symbol] = tensor.name


def float_literal(value: float) -> str:
    """A C float constant that reads back as exactly float32(value); CodegenError unless it is finite."""
    single = np.float32(value)
    if not math.isfinite(float(single)):
        raise CodegenError(f"a constant of {value} cannot be written as a float literal")
    text = f"{float(single):.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"


class CEmitter:
    """Implements `engine.operators.kind.Emitter`; collects file-scope definitions in order."""

    def __init__(self, graph: Graph, offsets: Mapping[str, int]) -> None:
        self._graph = graph
        self._offsets = offsets
        self._definitions: dict[str, str] = {}

    @property
    def definitions(self) -> tuple[str, ...]:
        return tuple(self._definitions.values())

    def pointer(self, tensor: str | None) -> str:
        if tensor is None:
            return "0"
        found = self._graph.tensor(tensor)
        if found.role is Role.CONSTANT:
            return identifier(tensor)
        if found.role is Role.STATE:
            return f"state.{identifier(tensor)}"
        return f"({C_TYPES[found.dtype]} *)(trainer_arena + {self._offsets[tensor]})"

    def mask(self, tensor: str | None) -> str:
        return "0" if tensor is None else f"training ? {self.pointer(tensor)} : 0"

    def scratch(self, op: Operator) -> str:
        offset = self._offsets.get(scratch_name(op))
        return "0" if offset is None else f"trainer_arena + {offset}"

    def symbol(self, op: Operator, suffix: str) -> str:
        return f"{identifier(op.layer)}_{suffix}"

    def declare(self, symbol: str, text: str) -> None:
        self._definitions.setdefault(symbol, text)

    def number(self, value: float) -> str:
        return float_literal(value)
