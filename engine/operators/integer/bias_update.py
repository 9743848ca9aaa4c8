"""Bias updates from int16 gradients: an integer sum, one rounding to float32."""

from __future__ import annotations

from collections.abc import Mapping

from engine.graph import Array, DType, Graph, Operator
from engine.operators import integer_gradients
from engine.operators.exponents import check_exponents
from engine.operators.gradient_scale import BiasUpdate
from engine.operators.kind import Emitter, GroupCode, GroupStage, register
from engine.operators.scratch import bias_update_scratch


@register
class IntegerBiasUpdate(BiasUpdate):
    name = "bias_update_i16"
    inputs = ("gradient", "gradient_exponent", "bias", "scale")
    gradient_dtype = DType.INT16

    def check(self, op: Operator, graph: Graph) -> None:
        super().check(op, graph)
        check_exponents(op, graph)

    def _gradient(self, values: Mapping[str, Array]) -> Array:
        return integer_gradients.bias_gradient(values["gradient"], int(values["gradient_exponent"]))

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        exponent = emitter.scalar(op.input("gradient_exponent"))
        gradient = f"{emitter.pointer(op.input('gradient'))}, {exponent}"
        return self._call("tb_bias_update_i16", gradient, op, graph, emitter)

    def emit_group(self, op: Operator, graph: Graph, emitter: Emitter, stage: GroupStage) -> GroupCode:
        gradient = f"{stage.gradient}, {emitter.scalar(op.input('gradient_exponent'))}"
        return GroupCode(self._group_call("tb_group_bias_update_i16", gradient, op, graph, emitter, stage))

    def scratch_bytes(self, op: Operator, graph: Graph) -> int:
        return bias_update_scratch(graph.operand(op, "bias").elements)
