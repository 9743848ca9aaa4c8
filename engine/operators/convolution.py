"""conv2d and depthwise_conv2d: int8 in, int8 out, requantized and clamped; gradient rule of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np

from engine.graph import Array, DType, Graph, Operator, Phase
from engine.operators import kernel_choice, real, reference
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
from engine.operators.scratch import conv2d_scratch, depthwise_scratch
from engine.operators.weights import (
    WEIGHT_ROLES,
    check_weights,
    conv_macs,
    declare_convolution,
    declare_weights,
    geometry,
    inherited,
    is_split,
    merged_weights,
    trained_input,
    weight_operands,
)


class Convolution(OperatorKind):
    """y = clamp(requantize(w · (x − zx) + b)); optional output `mask`: which elements were not clamped."""

    depthwise: ClassVar[bool]
    inputs = ("x", "bias", "multiplier")
    optional_inputs = WEIGHT_ROLES
    outputs = ("y",)
    optional_outputs = ("mask",)

    def check(self, op: Operator, graph: Graph) -> None:
        g = geometry(op)
        check_weights(op, graph, depthwise=self.depthwise)
        x, y = graph.operand(op, "x"), graph.operand(op, "y")
        expect(x.dtype is DType.INT8 and y.dtype is DType.INT8, op, "x and y must be i8")
        expect(
            x.shape == (g.in_height, g.in_width, g.in_channels), op, f"x has shape {x.shape}, expected {g}"
        )
        expect(
            y.shape == (g.out_height, g.out_width, g.out_channels), op, f"y has shape {y.shape}, expected {g}"
        )
        for tensor, key in ((x, "in_zero"), (y, "out_zero")):
            zero = tensor.quantization.zero_point if tensor.quantization else None
            expect(
                zero == op.integer(key),
                op,
                f"{key} is {op.integer(key)}, but {tensor.name} has zero point {zero}",
            )
        for role in ("bias", "multiplier"):
            tensor = graph.operand(op, role)
            expect(
                tensor.dtype is DType.INT32 and tensor.shape == (g.out_channels,),
                op,
                f"{role} must be i32 [OC]",
            )
        mask = op.find_output("mask")
        if mask is not None:
            expect(
                graph.tensor(mask).dtype is DType.BIT and graph.tensor(mask).shape == y.shape,
                op,
                "mask must be like y",
            )

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        weights = merged_weights(op, values, depthwise=self.depthwise)
        function = reference.depthwise_conv2d if self.depthwise else reference.conv2d
        y, mask = function(
            values["x"],
            weights,
            values["bias"],
            geometry(op),
            in_zero=op.integer("in_zero"),
            out_zero=op.integer("out_zero"),
            multiplier=values["multiplier"],
            shift=op.integer("shift"),
        )
        return {"y": y, "mask": mask}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        weights = merged_weights(op, values, depthwise=self.depthwise).astype(np.float64)
        function = real.depthwise if self.depthwise else real.conv2d
        accumulator = function(values["x"].astype(np.float64) - op.integer("in_zero"), weights, geometry(op))
        scale = values["multiplier"].astype(np.float64) * 2.0 ** (op.integer("shift") - 32)
        y = (accumulator + values["bias"]) * scale + op.integer("out_zero")
        return {"y": np.clip(y, -128.0, 127.0), "mask": (y >= -128.0) & (y <= 127.0)}

    def gradient(self, op: Operator, tape: Tape) -> None:
        layer, y = op.layer, op.output("y")
        scaled = tape.new_gradient(y, "accumulator_gradient")
        tape.emit(
            "masked_scale",
            f"{layer}.masked_scale",
            layer,
            Phase.BACKWARD,
            {
                "gradient": tape.gradient(y),
                "mask": tape.mask(op),
                "scale": tape.gradient_scale(layer),
            },
            {"y": scaled},
        )
        if tape.is_state(op.input("bias")):
            operands, values = tape.update_operands(op.input("bias"))
            tape.emit(
                "bias_update",
                f"{layer}.bias_update",
                layer,
                Phase.UPDATE,
                {
                    "gradient": scaled,
                    "bias": op.input("bias"),
                    "scale": tape.constant(layer, "bias_update_scale"),
                    **operands,
                },
                {},
                limit=reference.bias_limit(op.integer("shift")),
                **values,
            )
        dx: str | None = None
        if tape.wants(op.input("x")):
            dx = tape.new_gradient(op.input("x"), f"gradient_from_{layer}")
            tape.emit(
                f"{self.name}_grad_input",
                f"{layer}.grad_input",
                layer,
                Phase.BACKWARD,
                {"gradient": scaled, **weight_operands(op)},
                {"dx": dx},
                **inherited(op),
            )
        trainable = op.find_input("trainable")
        if trainable is not None:
            operands, values = tape.update_operands(trainable)
            kept = tape.find(trained_input(layer))
            if kept is not None:
                values["in_channels"] = tape.tensor(trainable).shape[3]
            tape.emit(
                f"{self.name}_update",
                f"{layer}.weight_update",
                layer,
                Phase.UPDATE,
                {
                    "gradient": scaled,
                    "x": kept or op.input("x"),
                    "trainable": trainable,
                    "channels": op.find_input("channels") if kept is None else None,
                    "scale": tape.constant(layer, "weight_update_scale"),
                    **operands,
                },
                {},
                **inherited(op, **values),
            )
        if dx is not None:
            tape.contribute(op.input("x"), dx)

    def choice(self, op: Operator, graph: Graph, rows: int | None = None) -> Choice:
        g = geometry(op)
        if not self.depthwise:
            return kernel_choice.conv2d(g, split=is_split(op))
        called = g if rows is None else replace(g, out_height=rows)
        return kernel_choice.depthwise_conv2d(called, shift=op.integer("shift"))

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        conv = declare_convolution(op, emitter, emitter.pointer(op.input("multiplier")))
        weights = declare_weights(op, graph, emitter, depthwise=self.depthwise)
        arguments = [
            conv,
            emitter.pointer(op.input("x")),
            weights,
            emitter.pointer(op.input("bias")),
            emitter.pointer(op.output("y")),
            emitter.mask(op.find_output("mask")),
        ]
        arguments.append(emitter.scratch(op))
        return f"{self.choice(op, graph).function}({', '.join(arguments)});"

    def emit_stage(self, op: Operator, graph: Graph, emitter: Emitter, stage: Stage) -> str:
        arguments = [
            self.choice(op, graph, stage.rows).function,
            declare_convolution(op, emitter, emitter.pointer(op.input("multiplier"))),
            f"&{stage.x}",
            declare_weights(op, graph, emitter, depthwise=self.depthwise),
            emitter.pointer(op.input("bias")),
            f"&{stage.y}",
            stage.end,
            emitter.mask(op.find_output("mask")),
            emitter.scratch(op),
        ]
        return f"tb_stream_convolution({', '.join(arguments)});"

    def macs(self, op: Operator, graph: Graph) -> int:
        return conv_macs(op, depthwise=self.depthwise)

    def scratch_bytes(self, op: Operator, graph: Graph) -> int:
        if self.depthwise:
            return depthwise_scratch(geometry(op), masked=op.find_output("mask") is not None)
        return conv2d_scratch(geometry(op), split=is_split(op))


@register
class Conv2d(Convolution):
    name = "conv2d"
    depthwise = False


@register
class DepthwiseConv2d(Convolution):
    name = "depthwise_conv2d"
    depthwise = True
    in_place = (("x", "y"),)
