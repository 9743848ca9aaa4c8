"""int16 gradients elementwise: masked_scale, the gradient of a residual addition, the sum of gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.graph import Array, DType, Graph, Operator
from engine.operators import integer_gradients
from engine.operators.elementwise import Accumulate
from engine.operators.exponents import (
    check_exponents,
    exponent_statement,
    exponent_value,
    multiplier_exponent,
)
from engine.operators.gradient_scale import MaskedScale
from engine.operators.kind import (
    Emitter,
    GroupCode,
    GroupStage,
    OperatorKind,
    StepContext,
    expect,
    register,
)

_LARGEST_MAP = 2**24
"""Pixels; above, multipliers that keep sums within 32 bits would have too few bits."""


@register
class IntegerMaskedScale(MaskedScale):
    """y = mask ? (gradient · multiplier[c] + 2³¹) >> 32 : 0, its exponent grows by a constant; in place."""

    name = "masked_scale_i16"
    inputs = ("gradient", "gradient_exponent", "mask", "scale")
    outputs = ("y", "y_exponent")
    gradient_dtype = DType.INT16
    scale_dtype = DType.INT32

    def check(self, op: Operator, graph: Graph) -> None:
        super().check(op, graph)
        check_exponents(op, graph)
        multiplier_exponent(op, graph.operand(op, "scale"))
        pixels = graph.operand(op, "y").elements // graph.operand(op, "scale").elements
        expect(
            pixels < _LARGEST_MAP,
            op,
            f"{pixels} pixels are too many for int16 gradients, which need fewer than {_LARGEST_MAP}; "
            "use float32 gradients",
        )

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        by = multiplier_exponent(op, graph.operand(op, "scale"))
        return {
            "y": integer_gradients.masked_scale(values["gradient"], values["mask"], values["scale"]),
            "y_exponent": exponent_value(int(values["gradient_exponent"]) + by),
        }

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        unit = 2.0 ** (multiplier_exponent(op, graph.operand(op, "scale")) - 32)
        scaled = values["gradient"] * (values["scale"].astype(np.float64) * unit)
        return {"y": np.where(values["mask"], scaled, 0.0), "y_exponent": exponent_value(0)}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        exponent = self._exponent(op, graph, emitter)
        return f"{super().emit(op, graph, emitter)}\n  {exponent}"

    def emit_group(self, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage) -> GroupCode:
        call = self._group_call("tb_group_masked_scale_i16", op, graph, emitter, stage)
        return GroupCode(call, before=self._exponent(op, graph, emitter))

    def _exponent(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        return exponent_statement(
            emitter.scalar(op.output("y_exponent")),
            emitter.scalar(op.input("gradient_exponent")),
            multiplier_exponent(op, graph.operand(op, "scale")),
        )


@register
class IntegerAddGrad(OperatorKind):
    """dx = mask ? (gradient · multiplier + 2³¹) >> 32 : 0, the gradient of one input of an addition."""

    name = "add_grad_i16"
    inputs = ("gradient", "gradient_exponent", "mask")
    outputs = ("dx", "dx_exponent")
    in_place = (("gradient", "dx"),)

    def check(self, op: Operator, graph: Graph) -> None:
        gradient, mask, dx = (graph.operand(op, role) for role in ("gradient", "mask", "dx"))
        expect(gradient.dtype is dx.dtype is DType.INT16, op, "gradients must be i16")
        expect(mask.dtype is DType.BIT, op, "mask must be bits")
        expect(gradient.shape == mask.shape == dx.shape, op, "gradient, mask and dx must have one shape")
        expect(0 <= op.integer("multiplier") < 2**31, op, "the multiplier must be a positive int32")
        op.integer("exponent")
        check_exponents(op, graph)

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        multiplier, by = op.integer("multiplier"), op.integer("exponent")
        return {
            "dx": integer_gradients.add_grad(values["gradient"], values["mask"], multiplier),
            "dx_exponent": exponent_value(int(values["gradient_exponent"]) + by),
        }

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        factor = op.integer("multiplier") * 2.0 ** (op.integer("exponent") - 32)
        dx = np.where(values["mask"], values["gradient"] * factor, 0.0)
        return {"dx": dx, "dx_exponent": exponent_value(0)}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        operands = ", ".join(emitter.pointer(op.input(role)) for role in ("gradient", "mask"))
        dx, count = emitter.pointer(op.output("dx")), graph.operand(op, "dx").elements
        exponent = exponent_statement(
            emitter.scalar(op.output("dx_exponent")),
            emitter.scalar(op.input("gradient_exponent")),
            op.integer("exponent"),
        )
        return f"tb_add_grad_i16({operands}, {op.integer('multiplier')}, {dx}, {count}u);\n  {exponent}"


@register
class IntegerAccumulate(Accumulate):
    """y = a + b of two exponents, with an exponent of its own."""

    name = "accumulate_i16"
    inputs = ("a", "a_exponent", "b", "b_exponent")
    outputs = ("y", "y_exponent")
    dtype = DType.INT16

    def check(self, op: Operator, graph: Graph) -> None:
        super().check(op, graph)
        check_exponents(op, graph)

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        y, exponent = integer_gradients.accumulate(
            values["a"], int(values["a_exponent"]), values["b"], int(values["b_exponent"])
        )
        return {"y": y, "y_exponent": exponent_value(exponent)}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {**super().evaluate_real(op, graph, values, step), "y_exponent": exponent_value(0)}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        operands = ", ".join(
            f"{emitter.pointer(op.input(role))}, {emitter.scalar(op.input(f'{role}_exponent'))}"
            for role in ("a", "b")
        )
        y, count = emitter.pointer(op.output("y")), graph.operand(op, "y").elements
        exponent = emitter.scalar(op.output("y_exponent"))
        return f"const int32_t {exponent} = tb_accumulate_i16({operands}, {y}, {count}u);"
