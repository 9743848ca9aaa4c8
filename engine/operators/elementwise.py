"""The residual addition, its gradient, and the sum of two gradients of one tensor."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engine.errors import GraphError
from engine.graph import Array, DType, Graph, Operator, Phase
from engine.operators import reference
from engine.operators.kind import Emitter, OperatorKind, StepContext, Tape, expect, register


@register
class Add(OperatorKind):
    """y = clamp((a·Ma + b·Mb + K) >> S), the quantized residual addition."""

    name = "add"
    inputs = ("a", "b")
    outputs = ("y",)
    optional_outputs = ("mask",)
    in_place = (("a", "y"), ("b", "y"))

    def check(self, op: Operator, graph: Graph) -> None:
        a, b, y = (graph.operand(op, role) for role in ("a", "b", "y"))
        expect(a.shape == b.shape == y.shape, op, f"operands have shapes {a.shape}, {b.shape} and {y.shape}")
        expect(a.dtype is b.dtype is y.dtype is DType.INT8, op, "operands must be i8")
        expect(None not in (a.quantization, b.quantization, y.quantization), op, "operands must be quantized")
        try:
            self._parameters(op, graph)
        except GraphError as error:
            raise GraphError(f"operator {op.name} ({op.kind}): {error}") from error

    def _parameters(self, op: Operator, graph: Graph) -> reference.AddParameters:
        a, b, y = (graph.operand(op, role).quantization for role in ("a", "b", "y"))
        assert a is not None and b is not None and y is not None  # the shape rule
        return reference.add_parameters(a.scale, a.zero_point, b.scale, b.zero_point, y.scale, y.zero_point)

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        y, mask = reference.add(values["a"], values["b"], self._parameters(op, graph))
        return {"y": y, "mask": mask}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        a, b, y = (graph.operand(op, role).quantization for role in ("a", "b", "y"))
        assert a is not None and b is not None and y is not None
        total = (values["a"].astype(np.float64) - a.zero_point) * (a.scale / y.scale)
        total = total + (values["b"].astype(np.float64) - b.zero_point) * (b.scale / y.scale) + y.zero_point
        return {"y": np.clip(total, -128.0, 127.0), "mask": (total >= -128.0) & (total <= 127.0)}

    def gradient(self, op: Operator, tape: Tape) -> None:
        y = op.output("y")
        scale = {role: tape.tensor(op.input(role)).quantization for role in ("a", "b")}
        out = tape.tensor(y).quantization
        outputs: dict[str, str | None] = {}
        factors: dict[str, float] = {}
        for role, quantization in scale.items():
            assert quantization is not None and out is not None
            value = op.input(role)
            wanted = tape.wants(value)
            outputs[f"g{role}"] = tape.new_gradient(value, f"gradient_from_{op.name}") if wanted else None
            factors[f"factor_{role}"] = float(np.float32(quantization.scale / out.scale))
        tape.emit(
            "add_grad",
            f"{op.name}.grad",
            op.layer,
            Phase.BACKWARD,
            {"gradient": tape.gradient(y), "mask": tape.mask(op)},
            outputs,
            **factors,
        )
        for role in ("a", "b"):
            gradient = outputs[f"g{role}"]
            if gradient is not None:
                tape.contribute(op.input(role), gradient)

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        p = self._parameters(op, graph)
        symbol = emitter.symbol(op, "parameters")
        emitter.declare(
            symbol,
            f"static const tb_add_t {symbol} = {{\n"
            f"    .multiplier_a = {p.multiplier_a}, .multiplier_b = {p.multiplier_b}, "
            f".offset = {p.offset}, .shift = {p.shift}}};",
        )
        operands = ", ".join(emitter.pointer(name) for name in (op.input("a"), op.input("b"), op.output("y")))
        mask, count = emitter.mask(op.find_output("mask")), graph.operand(op, "y").elements
        return f"tb_add_i8(&{symbol}, {operands}, {mask}, {count}u);"


@register
class AddGrad(OperatorKind):
    """ga = mask ? gradient · factor_a : 0, gb likewise; one of them may take the gradient's place."""

    name = "add_grad"
    inputs = ("gradient", "mask")
    outputs = ()
    optional_outputs = ("ga", "gb")
    in_place = (("gradient", "gb"), ("gradient", "ga"))

    def check(self, op: Operator, graph: Graph) -> None:
        gradient, mask = graph.operand(op, "gradient"), graph.operand(op, "mask")
        expect(
            gradient.dtype is DType.FLOAT32 and mask.dtype is DType.BIT, op, "gradient must be f32, mask bits"
        )
        expect(gradient.shape == mask.shape, op, "gradient and mask must have one shape")
        for role in self.optional_outputs:
            name = op.find_output(role)
            expect(
                name is None or graph.tensor(name).shape == gradient.shape, op, f"{role} has another shape"
            )

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        factor_a, factor_b = (np.float32(op.number(f"factor_{role}")) for role in ("a", "b"))
        a, b = reference.add_grad(values["gradient"], values["mask"], factor_a, factor_b)
        return {"ga": a, "gb": b}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        kept = np.where(values["mask"], values["gradient"], 0.0)
        return {"ga": kept * op.number("factor_a"), "gb": kept * op.number("factor_b")}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        factors = ", ".join(emitter.number(op.number(f"factor_{role}")) for role in ("a", "b"))
        operands = ", ".join(emitter.pointer(op.input(role)) for role in ("gradient", "mask"))
        results = ", ".join(emitter.pointer(op.find_output(role)) for role in ("ga", "gb"))
        return (
            f"tb_add_grad_f32({operands}, {factors}, {results}, {graph.operand(op, 'gradient').elements}u);"
        )


@register
class Accumulate(OperatorKind):
    """y = a + b, float32: the gradient of a tensor that two operators read."""

    name = "accumulate"
    inputs = ("a", "b")
    outputs = ("y",)
    in_place = (("a", "y"), ("b", "y"))

    def check(self, op: Operator, graph: Graph) -> None:
        a, b, y = (graph.operand(op, role) for role in ("a", "b", "y"))
        expect(a.shape == b.shape == y.shape, op, f"operands have shapes {a.shape}, {b.shape} and {y.shape}")
        expect(a.dtype is b.dtype is y.dtype is DType.FLOAT32, op, "operands must be f32")

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": reference.accumulate(values["a"], values["b"])}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        return {"y": values["a"] + values["b"]}

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        operands = ", ".join(emitter.pointer(name) for name in (op.input("a"), op.input("b"), op.output("y")))
        return f"tb_accumulate_f32({operands}, {graph.operand(op, 'y').elements}u);"
