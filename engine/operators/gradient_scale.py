"""masked_scale and bias_update: from the gradient of a convolution's output to those of its sums and bias."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.errors import CodegenError
from engine.graph import Array, DType, Graph, Operator, Role
from engine.operators import reference
from engine.operators.kind import Emitter, OperatorKind, StepContext, expect, register
from engine.operators.update_operands import accumulated, check_update, declare_update, rounding_of


@register
class MaskedScale(OperatorKind):
    """y = mask ? gradient · s[c] : 0, saturated; in place."""

    name = "masked_scale"
    inputs = ("gradient", "mask", "scale")
    outputs = ("y",)
    in_place = (("gradient", "y"),)

    def check(self, op: Operator, graph: Graph) -> None:
        gradient, mask, scale, y = (graph.operand(op, role) for role in ("gradient", "mask", "scale", "y"))
        expect(gradient.shape == y.shape == mask.shape, op, "gradient, mask and y must have one shape")
        expect(gradient.dtype is DType.FLOAT32 and y.dtype is DType.FLOAT32, op, "gradients must be f32")
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

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        height, width, channels = graph.operand(op, "y").shape
        if emitter.pointer(op.input("gradient")) != emitter.pointer(op.output("y")):
            raise CodegenError(f"operator {op.name} works in place, but its gradient is still read later")
        return (
            f"tb_masked_scale_f32({emitter.pointer(op.output('y'))}, {emitter.pointer(op.input('mask'))}, "
            f"{emitter.pointer(op.input('scale'))}, {height * width}u, {channels}u);"
        )


@register
class BiasUpdate(OperatorKind):
    """b ← b − lr · scale · Σ gradient over pixels; int32, kept within ±limit."""

    name = "bias_update"
    inputs = ("gradient", "bias", "scale")
    optional_inputs = ("accumulator",)
    mutates = ("bias", "accumulator")

    def check(self, op: Operator, graph: Graph) -> None:
        gradient, bias = graph.operand(op, "gradient"), graph.operand(op, "bias")
        expect(gradient.dtype is DType.FLOAT32 and len(gradient.shape) == 3, op, "gradient must be f32 HWC")
        expect(bias.dtype is DType.INT32 and bias.role is Role.STATE, op, "bias must be i32 state")
        expect(bias.shape == gradient.shape[-1:], op, "one bias a channel is needed")
        check_update(op, graph, bias, bias.elements)

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        ready, result = accumulated(reference.bias_gradient(values["gradient"]), values, step)
        if ready is None:
            return result
        result["bias"] = reference.apply_bias(
            values["bias"],
            ready,
            values["scale"],
            step.learning_rate,
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
        height, width, channels = graph.operand(op, "gradient").shape
        update = declare_update(op, emitter, "bias_update")
        operands = ", ".join(emitter.pointer(op.input(role)) for role in ("gradient", "bias"))
        sizes = f"{height * width}u, {channels}u, {op.integer('limit')}"
        return f"tb_bias_update_f32({operands}, {update}, &step, {sizes}, {emitter.scratch(op)});"

    def scratch_bytes(self, op: Operator, graph: Graph) -> int:
        return 4 * graph.operand(op, "bias").elements
