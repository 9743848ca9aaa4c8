"""Input gradients and weight updates of convolutions, float32 gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.graph import Array, DType, Graph, Operator, Role
from engine.operators import kernel_choice, real, reference
from engine.operators.kernel_choice import Choice
from engine.operators.kind import (
    Emitter,
    GroupCode,
    GroupStage,
    OperatorKind,
    StepContext,
    expect,
    register,
)
from engine.operators.update_operands import (
    KEPT_ROLES,
    apply_int8_update,
    check_update,
    declare_update,
    whole_update,
)
from engine.operators.weights import (
    WEIGHT_ROLES,
    check_weights,
    conv_macs,
    declare_convolution,
    declare_weights,
    geometry,
    merged_weights,
    trainable_channels,
    trainable_count,
)


class GradInput(OperatorKind):
    """dx = wᵀ · gradient, the gradient of the convolution's int8 input."""

    depthwise: ClassVar[bool]
    gradient_dtype: ClassVar[DType] = DType.FLOAT32
    inputs: ClassVar[tuple[str, ...]] = ("gradient",)
    optional_inputs = WEIGHT_ROLES
    outputs: ClassVar[tuple[str, ...]] = ("dx",)

    def check(self, op: Operator, graph: Graph) -> None:
        g = geometry(op)
        check_weights(op, graph, depthwise=self.depthwise)
        gradient, dx = graph.operand(op, "gradient"), graph.operand(op, "dx")
        expect(
            gradient.dtype is dx.dtype is self.gradient_dtype, op, f"gradients must be {self.gradient_dtype}"
        )
        expect(
            gradient.shape == (g.out_height, g.out_width, g.out_channels),
            op,
            f"gradient has shape {gradient.shape}",
        )
        expect(dx.shape == (g.in_height, g.in_width, g.in_channels), op, f"dx has shape {dx.shape}")

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        weights = merged_weights(op, values, depthwise=self.depthwise)
        function = reference.depthwise_conv2d_grad_input if self.depthwise else reference.conv2d_grad_input
        return {"dx": function(values["gradient"], weights, geometry(op))}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        weights = merged_weights(op, values, depthwise=self.depthwise).astype(np.float64)
        function = real.depthwise_grad_input if self.depthwise else real.conv2d_grad_input
        return {"dx": function(values["gradient"].astype(np.float64), weights, geometry(op))}

    def choice(self, op: Operator, graph: Graph, rows: int | None = None) -> Choice:
        if self.depthwise:
            return kernel_choice.depthwise_grad_input_f32(geometry(op))
        return kernel_choice.conv2d_grad_input(geometry(op), gradient="f32")

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        arguments = [
            declare_convolution(op, emitter, None),
            emitter.pointer(op.input("gradient")),
            declare_weights(op, graph, emitter, depthwise=self.depthwise),
            emitter.pointer(op.output("dx")),
        ]
        return f"{self.choice(op, graph).function}({', '.join(arguments)});"

    def emit_group(self, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage) -> GroupCode:
        conv = declare_convolution(op, emitter, None)
        weights = declare_weights(op, graph, emitter, depthwise=self.depthwise)
        if self.depthwise:
            operands = f"{stage.gradient}, {stage.distance}, {weights}, {stage.result}"
            kernel = self.choice(op, graph).function
            return GroupCode(f"tb_group_depthwise_grad_f32({kernel}, {stage.group}, {conv}, {operands});")
        function = "tb_group_output_grad_f32" if stage.splits else "tb_group_input_grad_f32"
        return GroupCode(f"{function}({stage.group}, {conv}, {stage.gradient}, {weights}, {stage.result});")

    def macs(self, op: Operator, graph: Graph) -> int:
        return conv_macs(op, depthwise=self.depthwise)


@register
class Conv2dGradInput(GradInput):
    name = "conv2d_grad_input"
    depthwise = False


@register
class DepthwiseConv2dGradInput(GradInput):
    name = "depthwise_conv2d_grad_input"
    depthwise = True


class WeightUpdate(OperatorKind):
    """w ← w − lr · scale · (gradient ⊗ (x − zx)) on the trainable channels, row by row, at once."""

    depthwise: ClassVar[bool]
    gradient_dtype: ClassVar[DType] = DType.FLOAT32
    inputs: ClassVar[tuple[str, ...]] = ("gradient", "x", "trainable", "scale")
    optional_inputs = ("channels", "low", "accumulator", *KEPT_ROLES)
    mutates = ("trainable", "low", "accumulator", *KEPT_ROLES)

    def check(self, op: Operator, graph: Graph) -> None:
        g = geometry(op)
        gradient, x, trainable = (graph.operand(op, role) for role in ("gradient", "x", "trainable"))
        expect(gradient.dtype is self.gradient_dtype, op, f"the gradient must be {self.gradient_dtype}")
        expect(
            gradient.shape == (g.out_height, g.out_width, g.out_channels),
            op,
            f"gradient has shape {gradient.shape}",
        )
        expect(
            x.dtype is DType.INT8 and x.shape == (g.in_height, g.in_width, g.in_channels),
            op,
            "x does not fit",
        )
        expect(
            trainable.role is Role.STATE and trainable.dtype is DType.INT8, op, "trainable must be i8 state"
        )
        check_update(op, graph, trainable, g.out_channels)

    def _channels(self, op: Operator, graph: Graph, values: Mapping[str, Array]) -> Array:
        return trainable_channels(op, values, trainable_count(op, graph, depthwise=self.depthwise))

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        channels = self._channels(op, graph, values)
        scale, gradient = values["scale"], values["gradient"]
        if self.depthwise:
            scale, gradient = scale[channels], gradient[..., channels]
        dw = self._gradient(op, gradient, values["x"][..., channels], values)
        return apply_int8_update(op, dw, scale, values, step)

    def _gradient(self, op: Operator, gradient: Array, x: Array, values: Mapping[str, Array]) -> Array:
        """dL/dw of the channels given."""
        function = reference.depthwise_conv2d_grad_weight if self.depthwise else reference.conv2d_grad_weight
        return function(gradient, x, op.integer("in_zero"), geometry(op))

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        channels = self._channels(op, graph, values)
        g, gradient = geometry(op), values["gradient"].astype(np.float64)
        x = values["x"].astype(np.float64) - op.integer("in_zero")
        scale = values["scale"].astype(np.float64)
        if self.depthwise:
            delta = real.depthwise_grad_weight(gradient, x, g)[channels] * scale[channels, None, None]
        else:
            delta = real.conv2d_grad_weight(gradient, x, g)[..., channels] * scale[:, None, None, None]
        return {"trainable": values["trainable"] - step.learning_rate * delta}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        arguments = [
            declare_convolution(op, emitter, None, "trained_geometry"),
            emitter.pointer(op.input("gradient")),
            emitter.pointer(op.input("x")),
            declare_weights(op, graph, emitter, depthwise=self.depthwise, suffix="trained_weights"),
            declare_update(op, emitter, "weight_update"),
            "&step",
        ]
        return f"tb_{self.name}_f32({', '.join(arguments)});"

    def emit_group(self, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage) -> GroupCode:
        arguments = self._group_arguments(op, graph, emitter, stage, stage.gradient)
        return GroupCode(f"tb_group_{self.name}_f32({arguments});")

    def emit_last(self, op: Operator, graph: Graph, emitter: Emitter, step: str) -> str:
        update = declare_update(op, emitter, "weight_update")
        return whole_update(op, graph, emitter, "trainable", update, step)

    def _group_arguments(
        self, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage, gradient: str
    ) -> str:
        conv = declare_convolution(op, emitter, None, "trained_geometry")
        weights = declare_weights(op, graph, emitter, depthwise=self.depthwise, suffix="trained_weights")
        update = declare_update(op, emitter, "weight_update")
        x = emitter.pointer(op.input("x"))
        return f"{stage.group}, {conv}, {gradient}, {x}, {weights}, {update}, step"

    def macs(self, op: Operator, graph: Graph) -> int:
        g, count = geometry(op), trainable_count(op, graph, depthwise=self.depthwise)
        taps = g.kernel_height * g.kernel_width * g.out_height * g.out_width * count
        return taps if self.depthwise else taps * g.out_channels


@register
class Conv2dUpdate(WeightUpdate):
    name = "conv2d_update"
    depthwise = False


@register
class DepthwiseConv2dUpdate(WeightUpdate):
    name = "depthwise_conv2d_update"
    depthwise = True
