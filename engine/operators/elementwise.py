"""The residual addition, its gradient, and the sum of two gradients of one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.errors import GraphError
from engine.graph import Array, DType, Graph, Operator, Phase
from engine.operators import kernel_choice, reference
from engine.operators.kernel_choice import Choice
from engine.operators.kind import (
    Emitter,
    OperatorKind,
    Stage,
    StepContext,
    Tape,
    expect,
    register,
)
from engine.operators.shared_exponent import GRADIENT_MULTIPLIER_BITS, multipliers


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
        gradient, out = tape.gradient(op.output("y")), tape.tensor(op.output("y")).quantization
        results: dict[str, str | None] = {}
        factors: dict[str, np.float32] = {}
        for role in ("a", "b"):
            value = op.input(role)
            quantization = tape.tensor(value).quantization
            assert quantization is not None and out is not None
            wanted = tape.wants(value)
            results[role] = tape.new_gradient(value, f"gradient_from_{op.name}") if wanted else None
            factors[role] = np.float32(quantization.scale / out.scale)
        operands: dict[str, str | None] = {"gradient": gradient, "mask": tape.mask(op)}
        if tape.tensor(gradient).dtype is DType.INT16:
            _integer_gradients(op, tape, operands, results, factors)
        else:
            tape.emit(
                "add_grad",
                f"{op.name}.grad",
                op.layer,
                Phase.BACKWARD,
                operands,
                {f"g{role}": result for role, result in results.items()},
                **{f"factor_{role}": float(factor) for role, factor in factors.items()},
            )
        for role, result in results.items():
            if result is not None:
                tape.contribute(op.input(role), result)

    def _declare(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        """Define the addition's constants and return a pointer to them."""
        p = self._parameters(op, graph)
        symbol = emitter.symbol(op, "parameters")
        emitter.declare(
            symbol,
            f"static const tb_add_t {symbol} = {{\n"
            f"    .multiplier_a = {p.multiplier_a}, .multiplier_b = {p.multiplier_b}, "
            f".offset = {p.offset}, .shift = {p.shift}}};",
        )
        return f"&{symbol}"

    def choice(self, op: Operator, graph: Graph, rows: int | None = None) -> Choice:
        return kernel_choice.add(self._parameters(op, graph))

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        parameters = self._declare(op, graph, emitter)
        operands = ", ".join(emitter.pointer(name) for name in (op.input("a"), op.input("b"), op.output("y")))
        mask, count = emitter.mask(op.find_output("mask")), graph.operand(op, "y").elements
        function = self.choice(op, graph).function
        return f"{function}({parameters}, {operands}, {mask}, {count}u);"

    def emit_stage(self, op: Operator, graph: Graph, emitter: Emitter, stage: Stage) -> str:
        mask = emitter.mask(op.find_output("mask"))
        parameters = self._declare(op, graph, emitter)
        windows = f"&{stage.skip}, &{stage.x}, &{stage.y}"
        function = self.choice(op, graph).function
        return f"tb_stream_add({function}, {parameters}, {windows}, {stage.end}, {mask});"


def _integer_gradients(
    op: Operator,
    tape: Tape,
    operands: dict[str, str | None],
    results: dict[str, str | None],
    factors: dict[str, np.float32],
) -> None:
    """One operator an input: the last of them can work in place."""
    for role, result in results.items():
        if result is None:
            continue
        multiplier, exponent = multipliers(np.array([factors[role]]), GRADIENT_MULTIPLIER_BITS)
        tape.emit(
            "add_grad",
            f"{op.name}.grad_{role}",
            op.layer,
            Phase.BACKWARD,
            operands,
            {"dx": result},
            multiplier=int(multiplier[0]),
            exponent=exponent,
        )


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
    """y = a + b: the gradient of a tensor that two operators read."""

    dtype: ClassVar[DType] = DType.FLOAT32
    name = "accumulate"
    inputs: ClassVar[tuple[str, ...]] = ("a", "b")
    outputs: ClassVar[tuple[str, ...]] = ("y",)
    in_place = (("a", "y"), ("b", "y"))

    def check(self, op: Operator, graph: Graph) -> None:
        a, b, y = (graph.operand(op, role) for role in ("a", "b", "y"))
        expect(a.shape == b.shape == y.shape, op, f"operands have shapes {a.shape}, {b.shape} and {y.shape}")
        expect(a.dtype is b.dtype is y.dtype is self.dtype, op, f"operands must be {self.dtype}")

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
