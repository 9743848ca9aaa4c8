"""masked_scale and bias_update: from the gradient of a convolution's output to those of its sums and bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.errors import CodegenError
from engine.graph import Array, DType, Graph, Operator, Role
from engine.operators import kernel_choice, reference
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
    check_update,
    declare_update,
    descent,
    rounding_of,
    whole_update,
)


@register
class MaskedScale(OperatorKind):
    """y = mask ? gradient · s[c] : 0, saturated; in place."""

    gradient_dtype: ClassVar[DType] = DType.FLOAT32
    scale_dtype: ClassVar[DType] = DType.FLOAT32
    name = "masked_scale"
    inputs: ClassVar[tuple[str, ...]] = ("gradient", "mask", "scale")
    outputs: ClassVar[tuple[str, ...]] = ("y",)
    in_place = (("gradient", "y"),)

    def check(self, op: Operator, graph: Graph) -> None:
        gradient, mask, scale, y = (graph.operand(op, role) for role in ("gradient", "mask", "scale", "y"))
        expect(gradient.shape == y.shape == mask.shape, op, "gradient, mask and y must have one shape")
        expect(
            gradient.dtype is y.dtype is self.gradient_dtype, op, f"gradients must be {self.gradient_dtype}"
        )
        expect(scale.dtype is self.scale_dtype, op, f"scale must be {self.scale_dtype}")
        expect(mask.dtype is DType.BIT, op, "mask must be bits")
        expect(scale.shape == gradient.shape[-1:], op, "one scale a channel is needed")

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": reference.masked_scale(values["gradient"], values["mask"], values["scale"])}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": np.where(values["mask"], values["gradient"] * values["scale"].astype(np.float64), 0.0)}

    def choice(self, op: Operator, graph: Graph, rows: int | None = None) -> Choice:
        return kernel_choice.masked_scale(graph.operand(op, "y").shape[2], gradient=str(self.gradient_dtype))

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        function = self.choice(op, graph).function
        height, width, channels = graph.operand(op, "y").shape
        if emitter.pointer(op.input("gradient")) != emitter.pointer(op.output("y")):
            raise CodegenError(f"operator {op.name} works in place, but its gradient is still read later")
        return (
            f"{function}({emitter.pointer(op.output('y'))}, {emitter.pointer(op.input('mask'))}, "
            f"{emitter.pointer(op.input('scale'))}, {height * width}u, {channels}u);"
        )

    def emit_group(self, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage) -> GroupCode:
        return GroupCode(self._group_call("tb_group_masked_scale_f32", op, graph, emitter, stage))

    def _group_call(
        self, function: str, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage
    ) -> str:
        height, width, _ = graph.operand(op, "y").shape
        operands = f"{emitter.pointer(op.input('mask'))}, {emitter.pointer(op.input('scale'))}"
        return f"{function}({stage.group}, {stage.gradient}, {operands}, {height * width}u);"


@register
class BiasUpdate(OperatorKind):
    """b ← b − lr · scale · Σ gradient over pixels; int32, kept within ±limit."""

    gradient_dtype: ClassVar[DType] = DType.FLOAT32
    name = "bias_update"
    inputs: ClassVar[tuple[str, ...]] = ("gradient", "bias", "scale")
    optional_inputs = ("accumulator", *KEPT_ROLES)
    mutates = ("bias", "accumulator", *KEPT_ROLES)

    def check(self, op: Operator, graph: Graph) -> None:
        gradient, bias = graph.operand(op, "gradient"), graph.operand(op, "bias")
        expect(
            gradient.dtype is self.gradient_dtype and len(gradient.shape) == 3,
            op,
            f"gradient must be {self.gradient_dtype} HWC",
        )
        expect(bias.dtype is DType.INT32 and bias.role is Role.STATE, op, "bias must be i32 state")
        expect(bias.shape == gradient.shape[-1:], op, "one bias a channel is needed")
        check_update(op, graph, bias, bias.elements)

    def _gradient(self, values: Mapping[str, Array]) -> Array:
        """dL/db [C]."""
        return reference.bias_gradient(values["gradient"])

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        d, result = descent(op, self._gradient(values), values["scale"], "bias", values, step)
        if d is None:
            return result
        result["bias"] = reference.move_bias(
            values["bias"],
            d,
            rounding_of(op),
            step.step_key,
            op.integer("stream"),
            op.integer("limit"),
        )
        return result

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        total = values["gradient"].astype(np.float64).sum(axis=(0, 1))
        return {"bias": values["bias"] - step.learning_rate * values["scale"].astype(np.float64) * total}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        return self._call("tb_bias_update_f32", emitter.pointer(op.input("gradient")), op, graph, emitter)

    def _call(self, function: str, gradient: str, op: Operator, graph: Graph, emitter: Emitter) -> str:
        height, width, channels = graph.operand(op, "gradient").shape
        operands = f"{gradient}, {emitter.pointer(op.input('bias'))}"
        update = declare_update(op, emitter, "bias_update")
        sizes = f"{height * width}u, {channels}u, {op.integer('limit')}"
        return f"{function}({operands}, {update}, &step, {sizes}, {emitter.scratch(op)});"

    def emit_group(self, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage) -> GroupCode:
        return GroupCode(
            self._group_call("tb_group_bias_update_f32", stage.gradient, op, graph, emitter, stage)
        )

    def _group_call(
        self, function: str, gradient: str, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage
    ) -> str:
        height, width, _ = graph.operand(op, "gradient").shape
        operands = f"{stage.group}, {gradient}, {emitter.pointer(op.input('bias'))}"
        update = declare_update(op, emitter, "bias_update")
        sizes = f"{height * width}u, {op.integer('limit')}"
        return f"{function}({operands}, {update}, step, {sizes}, {emitter.scratch(op)});"

    def emit_last(self, op: Operator, graph: Graph, emitter: Emitter, step: str) -> str:
        return whole_update(op, graph, emitter, "bias", declare_update(op, emitter, "bias_update"), step)

    def scratch_bytes(self, op: Operator, graph: Graph) -> int:
        return 4 * graph.operand(op, "bias").elements
