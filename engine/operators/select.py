"""select_channels: the input channels whose weights are trained, all that their update needs of an input."""

from __future__ import annotations

from collections.abc import Mapping

from engine.graph import Array, DType, Graph, Operator
from engine.operators.kind import Emitter, OperatorKind, StepContext, expect, register

_FUNCTION = {DType.INT8: "tb_select_channels_i8", DType.FLOAT32: "tb_float_select_channels"}


@register
class SelectChannels(OperatorKind):
    """y[p, i] = x[p, channels[i]], as many as y has: what is kept of x for a weight update."""

    name = "select_channels"
    inputs = ("x", "channels")
    outputs = ("y",)

    def check(self, op: Operator, graph: Graph) -> None:
        x, channels, y = (graph.operand(op, role) for role in ("x", "channels", "y"))
        expect(
            x.dtype is y.dtype and x.dtype in _FUNCTION and len(x.shape) == 3,
            op,
            "x and y must be i8 or f32 HWC",
        )
        expect(x.shape[:2] == y.shape[:2], op, f"x has shape {x.shape}, y {y.shape}")
        expect(x.quantization == y.quantization, op, "x and y must have one quantization")
        expect(channels.dtype is DType.UINT16, op, "channels must be u16")
        expect(y.shape[2] <= channels.elements == x.shape[2], op, "one channel number an input channel")

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        count = graph.operand(op, "y").shape[2]
        return {"y": values["x"][..., values["channels"][:count]]}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return self.evaluate(op, graph, values, step)

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        height, width, channels = graph.operand(op, "x").shape
        operands = ", ".join(
            emitter.pointer(name) for name in (op.input("x"), op.input("channels"), op.output("y"))
        )
        y = graph.operand(op, "y")
        count, function = y.shape[2], _FUNCTION[y.dtype]
        return f"if (training) {function}({operands}, {height * width}u, {channels}u, {count}u);"
