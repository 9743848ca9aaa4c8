"""Operators of float32 networks that treat all elements, or all channels, alike."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.graph import Array, DType, Graph, Operator, Phase
from engine.operators.floating import reference
from engine.operators.floating.weights import check_map
from engine.operators.kind import Emitter, OperatorKind, StepContext, Tape, expect, register


@register
class FloatAdd(OperatorKind):
    """y = a + b, the residual addition. The gradient of both is that of y."""

    name = "float_add"
    inputs = ("a", "b")
    outputs = ("y",)
    in_place = (("a", "y"), ("b", "y"))

    def check(self, op: Operator, graph: Graph) -> None:
        for role in ("a", "b", "y"):
            check_map(op, graph, role, graph.operand(op, "y").shape)

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": reference.add(values["a"], values["b"])}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": values["a"] + values["b"]}

    def gradient(self, op: Operator, tape: Tape) -> None:
        for role in ("a", "b"):
            tape.contribute(op.input(role), tape.gradient(op.output("y")))

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        operands = ", ".join(emitter.pointer(name) for name in (op.input("a"), op.input("b"), op.output("y")))
        return f"tb_float_add({operands}, {graph.operand(op, 'y').elements}u);"


@register
class FloatMasked(OperatorKind):
    """y = mask ? gradient : 0, the gradient of an activation function that clamps; in place."""

    name = "float_masked"
    inputs = ("gradient", "mask")
    outputs = ("y",)
    in_place = (("gradient", "y"),)

    def check(self, op: Operator, graph: Graph) -> None:
        mask = graph.operand(op, "mask")
        expect(mask.dtype is DType.BIT, op, "mask must be bits")
        for role in ("gradient", "y"):
            check_map(op, graph, role, mask.shape)

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": reference.masked(values["gradient"], values["mask"])}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": np.where(values["mask"], values["gradient"], 0.0)}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        names = (op.input("gradient"), op.input("mask"), op.output("y"))
        operands = ", ".join(map(emitter.pointer, names))
        return f"tb_float_masked({operands}, {graph.operand(op, 'y').elements}u);"


@register
class FloatBiasGrad(OperatorKind):
    """dw[c] = Σ gradient[p, c]."""

    name = "float_bias_grad"
    inputs = ("gradient",)
    outputs = ("dw",)

    def check(self, op: Operator, graph: Graph) -> None:
        gradient = graph.operand(op, "gradient")
        expect(len(gradient.shape) == 3, op, "the gradient must be HWC")
        check_map(op, graph, "gradient", gradient.shape)
        check_map(op, graph, "dw", gradient.shape[-1:])

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"dw": reference.channel_sums(values["gradient"])}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"dw": values["gradient"].astype(np.float64).sum(axis=(0, 1))}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        height, width, channels = graph.operand(op, "gradient").shape
        operands = ", ".join(map(emitter.pointer, (op.input("gradient"), op.output("dw"))))
        return f"tb_float_bias_grad({operands}, {height * width}u, {channels}u);"


@register
class FloatAveragePool(OperatorKind):
    """[H, W, C] → [C], the mean over height and width."""

    name = "float_average_pool"
    inputs = ("x",)
    outputs = ("y",)

    def check(self, op: Operator, graph: Graph) -> None:
        shape = graph.operand(op, "x").shape
        expect(len(shape) == 3, op, "x must be HWC")
        check_map(op, graph, "x", shape)
        check_map(op, graph, "y", shape[-1:])

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": reference.average_pool(values["x"], _mean_factor(graph.operand(op, "x").shape))}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": values["x"].mean(axis=(0, 1))}

    def gradient(self, op: Operator, tape: Tape) -> None:
        x = op.input("x")
        dx = tape.new_gradient(x, f"gradient_from_{op.name}")
        operands: dict[str, str | None] = {"gradient": tape.gradient(op.output("y"))}
        tape.emit(
            "float_average_pool_grad", f"{op.name}.grad", op.layer, Phase.BACKWARD, operands, {"dx": dx}
        )
        tape.contribute(x, dx)

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        operands = ", ".join(map(emitter.pointer, (op.input("x"), op.output("y"))))
        return f"tb_float_average_pool({operands}, {_pool_arguments(graph.operand(op, 'x').shape, emitter)});"


@register
class FloatAveragePoolGrad(OperatorKind):
    """dx[p, c] = gradient[c] / (H · W)."""

    name = "float_average_pool_grad"
    inputs = ("gradient",)
    outputs = ("dx",)

    def check(self, op: Operator, graph: Graph) -> None:
        shape = graph.operand(op, "dx").shape
        expect(len(shape) == 3, op, "dx must be HWC")
        check_map(op, graph, "dx", shape)
        check_map(op, graph, "gradient", shape[-1:])

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        height, width, _ = shape = graph.operand(op, "dx").shape
        return {"dx": reference.average_pool_grad(values["gradient"], height, width, _mean_factor(shape))}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        height, width, channels = graph.operand(op, "dx").shape
        row = values["gradient"] / (height * width)
        return {"dx": np.broadcast_to(row, (height, width, channels)).copy()}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        operands = ", ".join(map(emitter.pointer, (op.input("gradient"), op.output("dx"))))
        arguments = _pool_arguments(graph.operand(op, "dx").shape, emitter)
        return f"tb_float_average_pool_grad({operands}, {arguments});"


def _mean_factor(shape: tuple[int, ...]) -> float:
    return float(np.float32(1.0 / (shape[0] * shape[1])))


def _pool_arguments(shape: tuple[int, ...], emitter: Emitter) -> str:
    return f"{shape[0] * shape[1]}u, {shape[2]}u, {emitter.number(_mean_factor(shape))}"
