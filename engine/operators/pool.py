"""From the last feature map to the classifier's features: average pool, dequantize, their gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.graph import Array, DType, Graph, Operator, Phase, Quantization
from engine.operators import reference
from engine.operators.kind import Emitter, OperatorKind, StepContext, Tape, expect, register


def _quantization(op: Operator, graph: Graph, role: str) -> Quantization:
    quantization = graph.operand(op, role).quantization
    expect(quantization is not None, op, f"{role} must be quantized")
    assert quantization is not None
    return quantization


@register
class GlobalAveragePool(OperatorKind):
    """int8 [H, W, C] → int8 [C], the mean over height and width, requantized."""

    name = "global_average_pool"
    inputs = ("x",)
    outputs = ("y",)

    def check(self, op: Operator, graph: Graph) -> None:
        x, y = graph.operand(op, "x"), graph.operand(op, "y")
        expect(x.dtype is y.dtype is DType.INT8 and len(x.shape) == 3, op, "x must be i8 HWC, y i8")
        expect(y.shape == x.shape[-1:], op, f"y should have shape {x.shape[-1:]}, found {y.shape}")
        _, shift = reference.multiplier_and_shift([self._scale(op, graph)])
        pixels = x.shape[0] * x.shape[1]
        expect(
            255 * pixels < 1 << (31 - shift), op, f"a sum of {pixels} pixels may leave 32 bits at its scales"
        )

    def _scale(self, op: Operator, graph: Graph) -> float:
        height, width, _ = graph.operand(op, "x").shape
        return _quantization(op, graph, "x").scale / (height * width * _quantization(op, graph, "y").scale)

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        multiplier, shift = reference.multiplier_and_shift([self._scale(op, graph)])
        zero_x, zero_y = (_quantization(op, graph, role).zero_point for role in ("x", "y"))
        return {"y": reference.global_average_pool(values["x"], zero_x, int(multiplier[0]), shift, zero_y)}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        zero_x, zero_y = (_quantization(op, graph, role).zero_point for role in ("x", "y"))
        centred = values["x"].astype(np.float64) - zero_x
        return {"y": centred.sum(axis=(0, 1)) * self._scale(op, graph) + zero_y}

    def gradient(self, op: Operator, tape: Tape) -> None:
        x = op.input("x")
        height, width, _ = tape.tensor(x).shape
        in_q, out_q = tape.tensor(x).quantization, tape.tensor(op.output("y")).quantization
        assert in_q is not None and out_q is not None
        dx = tape.new_gradient(x, f"gradient_from_{op.name}")
        tape.emit(
            "global_average_pool_grad",
            f"{op.name}.grad",
            op.layer,
            Phase.BACKWARD,
            {"gradient": tape.gradient(op.output("y"))},
            {"dx": dx},
            factor=float(np.float32(in_q.scale / (height * width * out_q.scale))),
        )
        tape.contribute(x, dx)

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        multiplier, shift = reference.multiplier_and_shift([self._scale(op, graph)])
        height, width, channels = graph.operand(op, "x").shape
        zero_x, zero_y = (_quantization(op, graph, role).zero_point for role in ("x", "y"))
        return (
            f"tb_global_average_pool_i8({emitter.pointer(op.input('x'))}, {emitter.pointer(op.output('y'))}, "
            f"{height * width}u, {channels}u, {zero_x}, {zero_y}, {int(multiplier[0])}, {shift});"
        )


@register
class GlobalAveragePoolGrad(OperatorKind):
    """dx[p, c] = gradient[c] · factor."""

    dx_dtype: ClassVar[DType] = DType.FLOAT32
    name = "global_average_pool_grad"
    inputs: ClassVar[tuple[str, ...]] = ("gradient",)
    outputs: ClassVar[tuple[str, ...]] = ("dx",)

    def check(self, op: Operator, graph: Graph) -> None:
        gradient, dx = graph.operand(op, "gradient"), graph.operand(op, "dx")
        expect(gradient.dtype is DType.FLOAT32, op, "gradient must be f32")
        expect(dx.dtype is self.dx_dtype and len(dx.shape) == 3, op, f"dx must be {self.dx_dtype} HWC")
        expect(gradient.shape == dx.shape[-1:], op, "one gradient a channel is needed")

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        height, width, _ = graph.operand(op, "dx").shape
        factor = np.float32(op.number("factor"))
        return {"dx": reference.global_average_pool_grad(values["gradient"], height, width, factor)}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {
            "dx": np.broadcast_to(
                values["gradient"] * op.number("factor"), graph.operand(op, "dx").shape
            ).copy()
        }

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        return self._call("tb_global_average_pool_grad_f32", op, graph, emitter)

    def _call(self, function: str, op: Operator, graph: Graph, emitter: Emitter) -> str:
        height, width, channels = graph.operand(op, "dx").shape
        return (
            f"{function}({emitter.pointer(op.input('gradient'))}, "
            f"{emitter.pointer(op.output('dx'))}, {height * width}u, {channels}u, "
            f"{emitter.number(op.number('factor'))});"
        )


@register
class Dequantize(OperatorKind):
    """int8 → float32 features: (x − zero) · scale."""

    name = "dequantize"
    inputs = ("x",)
    outputs = ("y",)

    def check(self, op: Operator, graph: Graph) -> None:
        x, y = graph.operand(op, "x"), graph.operand(op, "y")
        expect(
            x.dtype is DType.INT8 and y.dtype is DType.FLOAT32 and x.shape == y.shape,
            op,
            "i8 to f32 of one shape",
        )
        _quantization(op, graph, "x")

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        q = _quantization(op, graph, "x")
        return {"y": reference.dequantize(values["x"], q.zero_point, np.float32(q.scale))}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        q = _quantization(op, graph, "x")
        return {"y": (values["x"].astype(np.float64) - q.zero_point) * q.scale}

    def gradient(self, op: Operator, tape: Tape) -> None:
        x = op.input("x")
        quantization = tape.tensor(x).quantization
        assert quantization is not None
        dx = tape.new_gradient(x, f"gradient_from_{op.name}")
        tape.emit(
            "dequantize_grad",
            f"{op.name}.grad",
            op.layer,
            Phase.BACKWARD,
            {"gradient": tape.gradient(op.output("y"))},
            {"dx": dx},
            scale=float(np.float32(quantization.scale)),
        )
        tape.contribute(x, dx)

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        q = _quantization(op, graph, "x")
        return (
            f"tb_dequantize_i8_f32({emitter.pointer(op.input('x'))}, {emitter.pointer(op.output('y'))}, "
            f"{graph.operand(op, 'x').elements}u, {q.zero_point}, {emitter.number(q.scale)});"
        )


@register
class DequantizeGrad(OperatorKind):
    """dx = gradient · scale; in place."""

    name = "dequantize_grad"
    inputs = ("gradient",)
    outputs = ("dx",)
    in_place = (("gradient", "dx"),)

    def check(self, op: Operator, graph: Graph) -> None:
        gradient, dx = graph.operand(op, "gradient"), graph.operand(op, "dx")
        expect(
            gradient.dtype is dx.dtype is DType.FLOAT32 and gradient.shape == dx.shape, op, "f32 of one shape"
        )

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"dx": reference.dequantize_grad(values["gradient"], np.float32(op.number("scale")))}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"dx": values["gradient"] * op.number("scale")}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        operands = ", ".join(emitter.pointer(name) for name in (op.input("gradient"), op.output("dx")))
        count, scale = graph.operand(op, "dx").elements, emitter.number(op.number("scale"))
        return f"tb_dequantize_grad_f32({operands}, {count}u, {scale});"
