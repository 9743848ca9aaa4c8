"""Input gradients and weight updates of convolutions, int16 gradients."""

from __future__ import annotations

from collections.abc import Mapping

from engine.graph import Array, DType, Graph, Operator
from engine.operators import integer_gradients, kernel_choice
from engine.operators.convolution_grad import GradInput, WeightUpdate
from engine.operators.exponents import check_exponents, exponent_value
from engine.operators.kernel_choice import Choice
from engine.operators.kind import Emitter, GroupCode, GroupStage, StepContext, expect, register
from engine.operators.scratch import (
    conv2d_grad_scratch,
    conv2d_update_scratch,
    depthwise_grad_reads_ahead,
    depthwise_grad_scratch,
    depthwise_update_scratch,
)
from engine.operators.update_operands import declare_update
from engine.operators.weights import (
    declare_convolution,
    declare_weights,
    geometry,
    is_split,
    merged_weights,
    trainable_count,
)

_LARGEST_SUM = 2**17
"""Products of an input gradient; above, multipliers that keep sums within 32 bits would have too few bits."""


class IntegerGradInput(GradInput):
    """dx = wᵀ · gradient as exact 32-bit sums, stored with the exponent that the largest needs."""

    inputs = ("gradient", "gradient_exponent")
    outputs = ("dx", "dx_exponent")
    gradient_dtype = DType.INT16

    def check(self, op: Operator, graph: Graph) -> None:
        super().check(op, graph)
        check_exponents(op, graph)
        g = geometry(op)
        terms = g.kernel_height * g.kernel_width * (1 if self.depthwise else g.out_channels)
        expect(
            terms < _LARGEST_SUM,
            op,
            f"sums of {terms} products are too long for int16 gradients, which need fewer than "
            f"{_LARGEST_SUM}; use float32 gradients",
        )

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        weights = merged_weights(op, values, depthwise=self.depthwise)
        gradient, exponent = values["gradient"], int(values["gradient_exponent"])
        if self.depthwise:
            function = integer_gradients.depthwise_conv2d_grad_input
        else:
            function = integer_gradients.conv2d_grad_input
        dx, exponent = function(gradient, exponent, weights, geometry(op))
        return {"dx": dx, "dx_exponent": exponent_value(exponent)}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {**super().evaluate_real(op, graph, values, step), "dx_exponent": exponent_value(0)}

    def choice(self, op: Operator, graph: Graph, rows: int | None = None) -> Choice:
        if self.depthwise:
            return kernel_choice.depthwise_grad_input(geometry(op))
        return kernel_choice.conv2d_grad_input(geometry(op), gradient="i16")

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        kernel = self.choice(op, graph).function
        arguments = [
            declare_convolution(op, emitter, None),
            emitter.pointer(op.input("gradient")),
            emitter.scalar(op.input("gradient_exponent")),
            declare_weights(op, graph, emitter, depthwise=self.depthwise),
            emitter.pointer(op.output("dx")),
            emitter.scratch(op),
        ]
        call = f"{kernel}({', '.join(arguments)});"
        if self.depthwise:
            call = f"tb_depthwise_conv2d_grad_input_i16({', '.join([kernel, *arguments])});"
        return f"const int32_t {emitter.scalar(op.output('dx_exponent'))} = {call}"

    def emit_group(self, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage) -> GroupCode:
        conv = declare_convolution(op, emitter, None)
        weights = declare_weights(op, graph, emitter, depthwise=self.depthwise)
        gradient, scratch = emitter.scalar(op.input("gradient_exponent")), emitter.scratch(op)
        dx = emitter.scalar(op.output("dx_exponent"))
        if self.depthwise:
            kernel = self.choice(op, graph).function
            whole = f"{kernel}, {conv}, {emitter.pointer(op.input('gradient'))}, {gradient}, {weights}"
            part = f"{stage.gradient}, {gradient}, {stage.distance}, {weights}, {stage.result}, {dx}"
            return GroupCode(
                f"tb_group_depthwise_grad_i16({kernel}, {stage.group}, {conv}, {part}, {scratch});",
                before=f"const int32_t {dx} = tb_group_depthwise_exponent_i16("
                f"{whole}, {stage.channels}u, {stage.result}, {scratch});",
            )
        count = graph.operand(op, "dx").elements
        operands = f"{conv}, {stage.gradient}, {weights}, {stage.result}, {scratch}"
        return GroupCode(
            f"tb_group_input_grad_i16({stage.group}, {operands});",
            after=f"const int32_t {dx} = tb_group_share_i16({stage.result}, {count}u, {gradient});",
        )

    def scratch_bytes(self, op: Operator, graph: Graph) -> int:
        if self.depthwise:
            return depthwise_grad_scratch(geometry(op))
        return conv2d_grad_scratch(geometry(op), split=is_split(op))


@register
class IntegerConv2dGradInput(IntegerGradInput):
    name = "conv2d_grad_input_i16"
    depthwise = False


@register
class IntegerDepthwiseConv2dGradInput(IntegerGradInput):
    name = "depthwise_conv2d_grad_input_i16"
    depthwise = True
    in_place = (("gradient", "dx"),)

    def in_place_pairs(self, op: Operator, graph: Graph) -> tuple[tuple[str, str], ...]:
        """Only where the kernel reads a group of channels whole before it writes the first of them."""
        return self.in_place if depthwise_grad_reads_ahead(geometry(op)) else ()


class IntegerWeightUpdate(WeightUpdate):
    """w ← w − lr · scale · (gradient ⊗ (x − zx)): exact integer sums, each rounded to float32 once."""

    inputs = ("gradient", "gradient_exponent", "x", "trainable", "scale")
    gradient_dtype = DType.INT16

    def check(self, op: Operator, graph: Graph) -> None:
        super().check(op, graph)
        check_exponents(op, graph)

    def _gradient(self, op: Operator, gradient: Array, x: Array, values: Mapping[str, Array]) -> Array:
        if self.depthwise:
            function = integer_gradients.depthwise_conv2d_grad_weight
        else:
            function = integer_gradients.conv2d_grad_weight
        return function(gradient, int(values["gradient_exponent"]), x, op.integer("in_zero"), geometry(op))

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        arguments = [
            declare_convolution(op, emitter, None, "trained_geometry"),
            emitter.pointer(op.input("gradient")),
            emitter.scalar(op.input("gradient_exponent")),
            emitter.pointer(op.input("x")),
            declare_weights(op, graph, emitter, depthwise=self.depthwise, suffix="trained_weights"),
            declare_update(op, emitter, "weight_update"),
            "&step",
            emitter.scratch(op),
        ]
        return f"{self.choice(op, graph).function}({', '.join(arguments)});"

    def emit_group(self, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage) -> GroupCode:
        gradient = f"{stage.gradient}, {emitter.scalar(op.input('gradient_exponent'))}"
        arguments = self._group_arguments(op, graph, emitter, stage, gradient)
        kernel = self.choice(op, graph).function
        return GroupCode(f"tb_group_{self.name}({kernel}, {arguments}, {emitter.scratch(op)});")

    def choice(self, op: Operator, graph: Graph, rows: int | None = None) -> Choice:
        g = geometry(op)
        return kernel_choice.depthwise_update(g) if self.depthwise else kernel_choice.conv2d_update(g)

    def scratch_bytes(self, op: Operator, graph: Graph) -> int:
        if self.depthwise:
            return depthwise_update_scratch(geometry(op))
        return conv2d_update_scratch(geometry(op), trainable_count(op, graph, depthwise=False))


@register
class IntegerConv2dUpdate(IntegerWeightUpdate):
    name = "conv2d_update_i16"
    depthwise = False


@register
class IntegerDepthwiseConv2dUpdate(IntegerWeightUpdate):
    name = "depthwise_conv2d_update_i16"
    depthwise = True
