"""Compile-time reverse-mode differentiation: backward operators for exactly what a scheme updates.

Walks the forward operators from the loss up; a kind's gradient rule emits the operators. A value wants a
gradient only when something that is updated lies upstream of it, so frozen early layers get none. Each update
is emitted next to the gradient that it consumes: no weight gradient outlives its operator.
"""

from __future__ import annotations

import numpy as np

from engine.builder import ModuleBuilder
from engine.errors import GraphError
from engine.graph import DType, Module, Operator, Phase, Role, Tensor
from engine.operators import kind_of
from engine.operators.update_operands import ROUNDINGS

_LOW_START = 128  # w + 1/2: the integer part is then the rounded weight


def differentiate(module: Module, loss: str, *, rounding: str, accumulate: int) -> Module:
    """The module with backward and update operators appended.

    rounding: nearest, stochastic or extended. accumulate: images per update; above 1 every trained tensor
    gets a float32 accumulator. Raises GraphError where an operator on the path has no gradient rule.
    """
    if rounding not in ROUNDINGS:
        raise GraphError(f"rounding {rounding!r}; known are {', '.join(ROUNDINGS)}")
    tape = _Tape(module, rounding=rounding, accumulate=accumulate)
    tape.run(loss)
    return tape.builder.finish(module.graph.outputs)


class _Tape:
    """Implements `engine.operators.kind.Tape`."""

    def __init__(self, module: Module, *, rounding: str, accumulate: int) -> None:
        self.builder = ModuleBuilder(module.graph.name, module)
        self._rounding = rounding
        self._accumulate = accumulate
        self._wanted = _downstream_of_state(module)
        self._gradients: dict[str, str] = {}
        self._streams = {
            tensor.name: index for index, tensor in enumerate(module.graph.with_role(Role.STATE))
        }

    def run(self, loss: str) -> None:
        for op in reversed(self.builder.operators):
            outputs = [name for _, name in op.outputs]
            if loss in outputs or any(name in self._gradients for name in outputs):
                kind_of(op).gradient(op, self)

    def wants(self, value: str) -> bool:
        return value in self._wanted

    def gradient(self, value: str) -> str:
        return self._gradients[value]

    def contribute(self, value: str, gradient: str) -> None:
        if not self.wants(value):
            return
        earlier = self._gradients.get(value)
        if earlier is None:
            self._gradients[value] = gradient
            return
        total = self.new_gradient(value, "gradient")
        name = f"{value}.accumulate"
        self.emit("accumulate", name, value, Phase.BACKWARD, {"a": gradient, "b": earlier}, {"y": total})
        self._gradients[value] = total

    def mask(self, op: Operator) -> str:
        name = f"{op.output('y')}.mask"
        self.builder.value(name, DType.BIT, self.builder.tensor(op.output("y")).shape)
        self.builder.add_output(op.name, "mask", name)
        return name

    def constant(self, layer: str, suffix: str) -> str:
        return self.builder.tensor(f"{layer}.{suffix}").name

    def is_state(self, tensor: str | None) -> bool:
        return tensor is not None and self.builder.tensor(tensor).role is Role.STATE

    def tensor(self, name: str) -> Tensor:
        return self.builder.tensor(name)

    def new_gradient(self, value: str, suffix: str) -> str:
        return self.builder.value(f"{value}.{suffix}", DType.FLOAT32, self.builder.tensor(value).shape)

    def update_operands(self, state: str) -> tuple[dict[str, str], dict[str, int | str]]:
        tensor = self.builder.tensor(state)
        operands: dict[str, str] = {}
        if self._rounding == "extended" and tensor.dtype is DType.INT8:
            start = np.full(tensor.shape, _LOW_START, np.uint8)
            operands["low"] = self.builder.state(f"{state}.low", DType.UINT8, start)
        if self._accumulate > 1:
            zeros = np.zeros(tensor.shape, np.float32)
            operands["accumulator"] = self.builder.state(f"{state}.accumulator", DType.FLOAT32, zeros)
        return operands, {"rounding": self._rounding, "stream": self._streams[state]}

    def emit(
        self,
        kind: str,
        name: str,
        layer: str,
        phase: Phase,
        inputs: dict[str, str | None],
        outputs: dict[str, str | None],
        **values: int | float | str,
    ) -> None:
        self.builder.operator(kind, name, layer, phase, inputs, outputs, **values)


def _downstream_of_state(module: Module) -> set[str]:
    """Values that depend on anything trainable."""
    graph = module.graph
    found: set[str] = set()
    for op in graph.operators:
        depends = any(graph.tensor(name).role is Role.STATE or name in found for _, name in op.inputs)
        if depends:
            found.update(name for _, name in op.outputs)
    return found
