"""Gradients of float32 convolutions: of their inputs and of their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.graph import Array, Graph, Operator
from engine.operators import real
from engine.operators.floating import reference
from engine.operators.floating.scratch import (
    conv2d_grad_scratch,
    depthwise_grad_scratch,
    depthwise_grad_weight_scratch,
)
from engine.operators.floating.weights import (
    CHANNEL_AXIS,
    check_float_weights,
    check_map,
    declare_float_weights,
    declare_geometry,
    merged_weights,
)
from engine.operators.kind import Emitter, OperatorKind, StepContext, expect, register
from engine.operators.weights import WEIGHT_ROLES, check_geometry, conv_macs, geometry, is_split


class FloatGradInput(OperatorKind):
    """dx = wᵀ · gradient."""

    depthwise: ClassVar[bool]
    inputs = ("gradient",)
    optional_inputs = WEIGHT_ROLES
    outputs = ("dx",)

    def check(self, op: Operator, graph: Graph) -> None:
        g = geometry(op)
        check_float_weights(op, graph, depthwise=self.depthwise)
        check_map(op, graph, "gradient", (g.out_height, g.out_width, g.out_channels))
        check_map(op, graph, "dx", (g.in_height, g.in_width, g.in_channels))

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        function = reference.depthwise_conv2d_grad_input if self.depthwise else reference.conv2d_grad_input
        return {"dx": function(values["gradient"], merged_weights(values), geometry(op))}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        weights = merged_weights(values).astype(np.float64)
        gradient, g = values["gradient"].astype(np.float64), geometry(op)
        if self.depthwise:
            return {"dx": real.depthwise_grad_input(gradient, weights.transpose(2, 0, 1), g)}
        return {"dx": real.conv2d_grad_input(gradient, weights.transpose(3, 0, 1, 2), g)}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        arguments = [
            declare_geometry(op, emitter),
            emitter.pointer(op.input("gradient")),
            declare_float_weights(op, graph, emitter),
            emitter.pointer(op.output("dx")),
            emitter.scratch(op),
        ]
        return f"tb_{self.name}({', '.join(arguments)});"

    def macs(self, op: Operator, graph: Graph) -> int:
        return conv_macs(op, depthwise=self.depthwise)

    def scratch_bytes(self, op: Operator, graph: Graph) -> int:
        if self.depthwise:
            return depthwise_grad_scratch(geometry(op), split=is_split(op))
        return conv2d_grad_scratch(geometry(op))


@register
class FloatConv2dGradInput(FloatGradInput):
    name = "float_conv2d_grad_input"
    depthwise = False


@register
class FloatDepthwiseConv2dGradInput(FloatGradInput):
    name = "float_depthwise_conv2d_grad_input"
    depthwise = True

    def in_place_pairs(self, op: Operator, graph: Graph) -> tuple[tuple[str, str], ...]:
        """As in the forward pass."""
        return (("gradient", "dx"),) if geometry(op).stride == 1 else ()


class FloatGradWeight(OperatorKind):
    """dw = gradient ⊗ x, of the input channels whose weights are trained."""

    depthwise: ClassVar[bool]
    inputs = ("gradient", "x")
    outputs = ("dw",)

    def check(self, op: Operator, graph: Graph) -> None:
        g = geometry(op)
        check_geometry(op, depthwise=self.depthwise)
        check_map(op, graph, "gradient", (g.out_height, g.out_width, g.out_channels))
        count = self._count(op, graph)
        expect(1 <= count <= g.in_channels, op, f"gradients of {count} of {g.in_channels} channels")
        tail = (count,) if self.depthwise else (count, g.out_channels)
        check_map(op, graph, "dw", (g.kernel_height, g.kernel_width, *tail))
        channels = g.in_channels if self.depthwise else count
        check_map(op, graph, "x", (g.in_height, g.in_width, channels))

    def _count(self, op: Operator, graph: Graph) -> int:
        return graph.operand(op, "dw").shape[CHANNEL_AXIS]

    def _operands(self, op: Operator, graph: Graph, values: Mapping[str, Array]) -> tuple[Array, Array]:
        """The gradient and x, of the trained channels alone."""
        gradient, x = values["gradient"], values["x"]
        if not self.depthwise:
            return gradient, x
        count = self._count(op, graph)
        chosen = values["channels"][:count] if "channels" in values else np.arange(count)
        return gradient[..., chosen], x[..., chosen]

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        function = reference.depthwise_conv2d_grad_weight if self.depthwise else reference.conv2d_grad_weight
        return {"dw": function(*self._operands(op, graph, values), geometry(op))}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        gradient, x = (data.astype(np.float64) for data in self._operands(op, graph, values))
        if self.depthwise:
            return {"dw": real.depthwise_grad_weight(gradient, x, geometry(op)).transpose(1, 2, 0)}
        return {"dw": real.conv2d_grad_weight(gradient, x, geometry(op)).transpose(1, 2, 3, 0)}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        channels = [emitter.pointer(op.find_input("channels"))] if self.depthwise else []
        scratch = [emitter.scratch(op)] if self.depthwise else []
        arguments = [
            declare_geometry(op, emitter),
            emitter.pointer(op.input("gradient")),
            emitter.pointer(op.input("x")),
            *channels,
            emitter.pointer(op.output("dw")),
            f"{self._count(op, graph)}u",
            *scratch,
        ]
        return f"tb_{self.name}({', '.join(arguments)});"

    def macs(self, op: Operator, graph: Graph) -> int:
        g, count = geometry(op), self._count(op, graph)
        taps = g.kernel_height * g.kernel_width * g.out_height * g.out_width * count
        return taps if self.depthwise else taps * g.out_channels

    def scratch_bytes(self, op: Operator, graph: Graph) -> int:
        return depthwise_grad_weight_scratch(geometry(op)) if self.depthwise else 0


@register
class FloatConv2dGradWeight(FloatGradWeight):
    name = "float_conv2d_grad_weight"
    depthwise = False


@register
class FloatDepthwiseConv2dGradWeight(FloatGradWeight):
    name = "float_depthwise_conv2d_grad_weight"
    depthwise = True
    optional_inputs = ("channels",)
