"""C expressions for the operands of a planned graph, and the file-scope definitions they need."""

from __future__ import annotations

from collections.abc import Mapping

from engine.codegen.c_text import C_TYPES, float_literal, identifier
from engine.errors import CodegenError
from engine.graph import Graph, Operator, Role
from engine.liveness import group_name, scratch_name, window_name


def check_identifiers(graph: Graph) -> None:
    """Raise CodegenError where two tensors would get one C name."""
    seen: dict[str, str] = {}
    for tensor in graph.tensors:
        symbol = identifier(tensor.name)
        if symbol in seen:
            raise CodegenError(
                f"tensors {seen[symbol]} and {tensor.name} would both be called {symbol} in C; rename one"
            )
        seen[symbol] = tensor.name


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

    def scalar(self, tensor: str) -> str:
        return identifier(tensor)

    def window(self, tensor: str) -> str:
        """Where a streamed region keeps rows of a tensor."""
        return f"(int8_t *)(trainer_arena + {self._offsets[window_name(tensor)]})"

    def group(self, tensor: str) -> str:
        """Where a region keeps a group of channels of a gradient."""
        c_type = C_TYPES[self._graph.tensor(tensor).dtype]
        return f"({c_type} *)(trainer_arena + {self._offsets[group_name(tensor)]})"

    def sums(self, tensor: str) -> str:
        """Where a region sums an int16 gradient, which is to lie there."""
        return f"(int32_t *)(trainer_arena + {self._offsets[tensor]})"

    def scratch(self, op: Operator) -> str:
        offset = self._offsets.get(scratch_name(op))
        return "0" if offset is None else f"trainer_arena + {offset}"

    def symbol(self, op: Operator, suffix: str) -> str:
        return f"{identifier(op.layer)}_{suffix}"

    def declare(self, symbol: str, text: str) -> None:
        self._definitions.setdefault(symbol, text)

    def number(self, value: float) -> str:
        return float_literal(value)
