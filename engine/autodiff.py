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
from engine.operators.exponents import exponent_name, exponent_role
from engine.operators.update_operands import KEPT_BY, ROUNDINGS
from engine.update_rules import DEFAULT_RULE, RULES, UpdateRule

GRADIENTS = ("f32", "i16")
"""Gradients of feature maps: float32, or int16 with one exponent a tensor (docs/numerics.md)."""

_LOW_START = 128  # w + 1/2: the integer part is then the rounded weight


_SGD = UpdateRule()


def differentiate(
    module: Module, loss: str, *, rounding: str, accumulate: int, gradient: str, rule: UpdateRule = _SGD
) -> Module:
    """The module with backward and update operators appended.

    rounding: nearest, stochastic or extended. accumulate: images per update; above 1 every trained tensor
    gets a float32 accumulator. gradient: f32 or i16. rule: how gradients become steps; what it keeps becomes
    state. Raises GraphError where an operator on the path has no gradient rule.
    """
    if rounding not in ROUNDINGS:
        raise GraphError(f"rounding {rounding!r}; known are {', '.join(ROUNDINGS)}")
    if gradient not in GRADIENTS:
        raise GraphError(f"gradient {gradient!r}; known are {', '.join(GRADIENTS)}")
    if rule.name not in RULES:
        raise GraphError(f"update rule {rule.name!r}; known are {', '.join(RULES)}")
    tape = _Tape(module, rounding=rounding, accumulate=accumulate, integers=gradient == "i16", rule=rule)
    tape.run(loss)
    return tape.builder.finish(module.graph.outputs)


class _Tape:
    """Implements `engine.operators.kind.Tape`."""

    def __init__(
        self, module: Module, *, rounding: str, accumulate: int, integers: bool, rule: UpdateRule
    ) -> None:
        self.builder = ModuleBuilder(module.graph.name, module)
        self._rounding = rounding
        self._accumulate = accumulate
        self._integers = integers
        self._rule = rule
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

    def find(self, name: str) -> str | None:
        return name if self.builder.has(name) else None

    def tensor(self, name: str) -> Tensor:
        return self.builder.tensor(name)

    def gradient_scale(self, layer: str) -> str:
        return self.constant(layer, "gradient_multiplier" if self._integers else "gradient_scale")

    def new_gradient(self, value: str, suffix: str) -> str:
        tensor = self.builder.tensor(value)
        is_feature_map = tensor.dtype is DType.INT8 and len(tensor.shape) == 3
        if not (self._integers and is_feature_map):
            return self.builder.value(f"{value}.{suffix}", DType.FLOAT32, tensor.shape)
        gradient = self.builder.value(f"{value}.{suffix}", DType.INT16, tensor.shape)
        self.builder.value(exponent_name(gradient), DType.INT32, ())
        return gradient

    def update_operands(self, state: str) -> tuple[dict[str, str], dict[str, int | float | str]]:
        tensor = self.builder.tensor(state)
        operands: dict[str, str] = {}
        if self._rounding == "extended" and tensor.dtype is DType.INT8:
            start = np.full(tensor.shape, _LOW_START, np.uint8)
            operands["low"] = self.builder.state(f"{state}.low", DType.UINT8, start)
        operands.update(self._kept(tensor))
        values = self._rule_attributes(self._rule.convolution_rate)
        return operands, {"rounding": self._rounding, "stream": self._streams[state], **values}

    def classifier_operands(self, state: str) -> tuple[dict[str, str], dict[str, int | float | str]]:
        return self._kept(self.builder.tensor(state)), self._rule_attributes(1.0)

    def _kept(self, tensor: Tensor) -> dict[str, str]:
        """The accumulator and what the rule keeps beside a trained tensor, by role."""
        accumulates = self._accumulate > 1 or self._rule.name == "lars"
        roles = (*(("accumulator",) if accumulates else ()), *KEPT_BY[self._rule.name])
        zeros = np.zeros(tensor.shape, np.float32)
        return {role: self.builder.state(f"{tensor.name}.{role}", DType.FLOAT32, zeros) for role in roles}

    def _rule_attributes(self, rate: float) -> dict[str, int | float | str]:
        if self._rule.name == DEFAULT_RULE:
            return {}
        values: dict[str, int | float | str] = {"rule": self._rule.name, "rate": rate}
        return values if self._rule.name == "adam" else {**values, "momentum": self._rule.momentum}

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
        exponents_in, exponents_out = self._exponents(inputs), self._exponents(outputs)
        if exponents_in or exponents_out:
            kind = f"{kind}_i16"
        self.builder.operator(
            kind, name, layer, phase, {**inputs, **exponents_in}, {**outputs, **exponents_out}, **values
        )

    def _exponents(self, operands: dict[str, str | None]) -> dict[str, str]:
        return {
            exponent_role(role): exponent_name(name)
            for role, name in operands.items()
            if name is not None and self.builder.tensor(name).dtype is DType.INT16
        }


def _downstream_of_state(module: Module) -> set[str]:
    """Values that depend on anything trainable."""
    graph = module.graph
    found: set[str] = set()
    for op in graph.operators:
        depends = any(graph.tensor(name).role is Role.STATE or name in found for _, name in op.inputs)
        if depends:
            found.update(name for _, name in op.outputs)
    return found
