"""Where float32 gradients become int16 ones: the gradient of the average pool."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.graph import Array, DType, Graph, Operator
from engine.operators import integer_gradients
from engine.operators.exponents import check_exponents, exponent_value
from engine.operators.kind import Emitter, StepContext, register
from engine.operators.pool import GlobalAveragePoolGrad


@register
class IntegerGlobalAveragePoolGrad(GlobalAveragePoolGrad):
    """dx[p, c] = gradient[c] · factor, quantized to int16 with the exponent of the largest."""

    name = "global_average_pool_grad_i16"
    outputs = ("dx", "dx_exponent")
    dx_dtype = DType.INT16

    def check(self, op: Operator, graph: Graph) -> None:
        super().check(op, graph)
        check_exponents(op, graph)

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        height, width, _ = graph.operand(op, "dx").shape
        factor = np.float32(op.number("factor"))
        dx, exponent = integer_gradients.global_average_pool_grad(values["gradient"], height, width, factor)
        return {"dx": dx, "dx_exponent": exponent_value(exponent)}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {**super().evaluate_real(op, graph, values, step), "dx_exponent": exponent_value(0)}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        exponent = emitter.scalar(op.output("dx_exponent"))
        call = self._call("tb_global_average_pool_grad_i16", op, graph, emitter)
        return f"const int32_t {exponent} = {call}"
