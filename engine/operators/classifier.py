"""The float32 classifier: fully connected, softmax cross-entropy, their gradients and the update."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.graph import Array, DType, Graph, Operator, Phase, Role
from engine.operators import reference
from engine.operators.kind import Emitter, OperatorKind, StepContext, Tape, expect, register
from engine.operators.update_operands import (
    KEPT_ROLES,
    check_rule,
    declare_update,
    descent,
    rule_of,
    whole_update,
)
from engine.update_rules import DEFAULT_RULE


@register
class FullyConnected(OperatorKind):
    """logits[K] = weight[K, C] · x[C] + bias[K]."""

    name = "fully_connected"
    inputs = ("x", "weight", "bias")
    outputs = ("y",)

    def check(self, op: Operator, graph: Graph) -> None:
        x, weight, bias, y = (graph.operand(op, role) for role in ("x", "weight", "bias", "y"))
        expect(all(t.dtype is DType.FLOAT32 for t in (x, weight, bias, y)), op, "operands must be f32")
        expect(
            weight.shape == (*y.shape, *x.shape) and bias.shape == y.shape,
            op,
            f"weight has shape {weight.shape}",
        )

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": reference.fully_connected(values["x"], values["weight"], values["bias"])}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": values["weight"].astype(np.float64) @ values["x"] + values["bias"]}

    def gradient(self, op: Operator, tape: Tape) -> None:
        gradient = tape.gradient(op.output("y"))
        if tape.wants(op.input("x")):
            dx = tape.new_gradient(op.input("x"), f"gradient_from_{op.name}")
            tape.emit(
                "fully_connected_grad_input",
                f"{op.name}.grad_input",
                op.layer,
                Phase.BACKWARD,
                {"gradient": gradient, "weight": op.input("weight")},
                {"dx": dx},
            )
            tape.contribute(op.input("x"), dx)
        if tape.is_state(op.input("weight")):
            operands: dict[str, str] = {}
            values: dict[str, int | float | str] = {}
            for role in ("weight", "bias"):
                kept, values = tape.classifier_operands(op.input(role))
                operands.update({f"{role}_{name}": tensor for name, tensor in kept.items()})
            tape.emit(
                "fully_connected_update",
                f"{op.name}.update",
                op.layer,
                Phase.UPDATE,
                {
                    "gradient": gradient,
                    "x": op.input("x"),
                    "weight": op.input("weight"),
                    "bias": op.input("bias"),
                    **operands,
                },
                {},
                **values,
            )

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        classes, features = graph.operand(op, "weight").shape
        operands = ", ".join(emitter.pointer(op.input(role)) for role in ("x", "weight", "bias"))
        return (
            f"tb_fully_connected_f32({operands}, {emitter.pointer(op.output('y'))}, {classes}u, {features}u);"
        )

    def macs(self, op: Operator, graph: Graph) -> int:
        return graph.operand(op, "weight").elements


@register
class SoftmaxCrossEntropy(OperatorKind):
    """loss = −log softmax(logits)[label] and its gradient with respect to the logits."""

    name = "softmax_cross_entropy"
    inputs = ("logits", "label")
    outputs = ("loss", "gradient")

    def check(self, op: Operator, graph: Graph) -> None:
        logits, label, loss, gradient = (
            graph.operand(op, role) for role in ("logits", "label", "loss", "gradient")
        )
        expect(logits.dtype is gradient.dtype is loss.dtype is DType.FLOAT32, op, "operands must be f32")
        expect(
            label.role is Role.ARGUMENT and label.dtype is DType.INT32, op, "label must be an i32 argument"
        )
        expect(
            logits.shape == gradient.shape and loss.shape == (),
            op,
            "gradient must be like logits, loss a scalar",
        )

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        loss, gradient = reference.softmax_cross_entropy(values["logits"], int(values["label"]))
        return {"loss": np.asarray(loss), "gradient": gradient}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        shifted = values["logits"] - values["logits"].max()
        exponentials = np.exp(shifted)
        label = int(values["label"])
        one_hot = np.arange(len(shifted)) == label
        loss = np.log(exponentials.sum()) - shifted[label]
        return {"loss": np.asarray(loss), "gradient": exponentials / exponentials.sum() - one_hot}

    def gradient(self, op: Operator, tape: Tape) -> None:
        tape.contribute(op.input("logits"), op.output("gradient"))

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        return (
            f"loss = tb_softmax_cross_entropy_f32({emitter.pointer(op.input('logits'))}, label, "
            f"{emitter.pointer(op.output('gradient'))}, {graph.operand(op, 'logits').elements}u);"
        )


@register
class FullyConnectedGradInput(OperatorKind):
    """dx[C] = gradient[K] · weight[K, C]."""

    name = "fully_connected_grad_input"
    inputs = ("gradient", "weight")
    outputs = ("dx",)

    def check(self, op: Operator, graph: Graph) -> None:
        gradient, weight, dx = (graph.operand(op, role) for role in ("gradient", "weight", "dx"))
        expect(weight.shape == (*gradient.shape, *dx.shape), op, f"weight has shape {weight.shape}")

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"dx": reference.fully_connected_grad_input(values["gradient"], values["weight"])}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"dx": values["gradient"] @ values["weight"].astype(np.float64)}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        classes, features = graph.operand(op, "weight").shape
        operands = ", ".join(
            emitter.pointer(name) for name in (op.input("gradient"), op.input("weight"), op.output("dx"))
        )
        return f"tb_fully_connected_grad_input_f32({operands}, {classes}u, {features}u);"

    def macs(self, op: Operator, graph: Graph) -> int:
        return graph.operand(op, "weight").elements


@register
class FullyConnectedUpdate(OperatorKind):
    """weight ← weight − lr · gradient ⊗ x, bias ← bias − lr · gradient, float32."""

    name = "fully_connected_update"
    inputs = ("gradient", "x", "weight", "bias")
    optional_inputs = tuple(
        f"{tensor}_{role}" for tensor in ("weight", "bias") for role in ("accumulator", *KEPT_ROLES)
    )
    mutates = ("weight", "bias", *optional_inputs)

    def check(self, op: Operator, graph: Graph) -> None:
        gradient, x, weight, bias = (graph.operand(op, role) for role in ("gradient", "x", "weight", "bias"))
        expect(
            weight.shape == (*gradient.shape, *x.shape) and bias.shape == gradient.shape,
            op,
            "shapes do not fit",
        )
        expect(weight.role is Role.STATE and bias.role is Role.STATE, op, "weight and bias must be state")
        check_rule(op, graph, weight, "weight_")
        check_rule(op, graph, bias, "bias_")

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        weight, bias, dz, x = (values[role] for role in ("weight", "bias", "gradient", "x"))
        if rule_of(op) == DEFAULT_RULE and "weight_accumulator" not in values:
            weight, bias = reference.fully_connected_update(weight, bias, dz, x, step.learning_rate)
            return {"weight": weight, "bias": bias}
        result: dict[str, Array] = {}
        for role, gradient in (("weight", reference.fully_connected_grad_weight(dz, x)), ("bias", dz)):
            d, kept = descent(op, gradient, None, role, values, step, f"{role}_")
            result.update(kept)
            if d is not None:
                result[role] = reference.move_float(values[role], d)
        return result

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        outer = np.outer(values["gradient"], values["x"])
        return {
            "weight": values["weight"] - step.learning_rate * outer,
            "bias": values["bias"] - step.learning_rate * values["gradient"],
        }

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        classes, features = graph.operand(op, "weight").shape
        operands = ", ".join(emitter.pointer(op.input(role)) for role in ("gradient", "x", "weight", "bias"))
        if rule_of(op) != DEFAULT_RULE:
            updates = ", ".join(self._updates(op, emitter))
            function = "tb_fully_connected_update_by_rule_f32"
            return f"{function}({operands}, {updates}, &step, {classes}u, {features}u);"
        accumulators = ", ".join(
            emitter.pointer(op.find_input(f"{role}_accumulator")) for role in ("weight", "bias")
        )
        return f"tb_fully_connected_update_f32({operands}, {accumulators}, &step, {classes}u, {features}u);"

    def emit_last(self, op: Operator, graph: Graph, emitter: Emitter, step: str) -> str:
        if rule_of(op) == DEFAULT_RULE:
            return ""
        updates = zip(("weight", "bias"), self._updates(op, emitter), strict=True)
        statements = (whole_update(op, graph, emitter, role, update, step) for role, update in updates)
        return "\n  ".join(statement for statement in statements if statement)

    def _updates(self, op: Operator, emitter: Emitter) -> list[str]:
        return [declare_update(op, emitter, f"{role}_update", f"{role}_") for role in ("weight", "bias")]

    def macs(self, op: Operator, graph: Graph) -> int:
        return graph.operand(op, "weight").elements
