"""float_update: one step of a trained float32 tensor, by any update rule."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.graph import Array, Graph, Operator, Role
from engine.operators import reference
from engine.operators.floating.weights import check_map
from engine.operators.kind import Emitter, OperatorKind, StepContext, expect, register
from engine.operators.update_operands import KEPT_ROLES, check_rule, declare_update, descent, whole_update

GRADIENT_LIMIT = np.float32(2.0**60)
"""So that its product with any factor is finite."""


@register
class FloatUpdate(OperatorKind):
    """value ← value − step; the step is the update rule's, from factor · gradient."""

    name = "float_update"
    inputs = ("gradient", "value")
    optional_inputs = ("accumulator", *KEPT_ROLES)
    mutates = ("value", "accumulator", *KEPT_ROLES)

    def check(self, op: Operator, graph: Graph) -> None:
        value = graph.operand(op, "value")
        expect(value.role is Role.STATE, op, "value must be state")
        for role in ("gradient", "value"):
            check_map(op, graph, role, value.shape)
        check_rule(op, graph, value)
        accumulator = op.find_input("accumulator")
        if accumulator is not None:
            expect(graph.tensor(accumulator).role is Role.STATE, op, "accumulator must be state")
            check_map(op, graph, "accumulator", value.shape)

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        limited = np.clip(values["gradient"], -GRADIENT_LIMIT, GRADIENT_LIMIT)
        scaled = np.float32(op.number("factor")) * limited
        d, result = descent(op, scaled, None, "value", values, step)
        if d is not None:
            result["value"] = reference.move_float(values["value"], d)
        return result

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"value": values["value"] - step.learning_rate * op.number("factor") * values["gradient"]}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        value = graph.operand(op, "value")
        arguments = [
            emitter.pointer(op.input("gradient")),
            emitter.number(op.number("factor")),
            emitter.pointer(value.name),
            self._update(op, emitter),
            "&step",
            f"{value.elements}u",
        ]
        return f"tb_float_update({', '.join(arguments)});"

    def emit_last(self, op: Operator, graph: Graph, emitter: Emitter, step: str) -> str:
        return whole_update(op, graph, emitter, "value", self._update(op, emitter), step)

    def _update(self, op: Operator, emitter: Emitter) -> str:
        return declare_update(op, emitter, f"{op.input('value').removeprefix(f'{op.layer}.')}_update")
