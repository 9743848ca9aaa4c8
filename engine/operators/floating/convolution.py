"""float_conv2d and float_depthwise_conv2d: a convolution, its bias and its activation function, float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from engine.graph import Array, DType, Graph, Operator, Phase
from engine.operators import real
from engine.operators.floating import reference
from engine.operators.floating.scratch import conv2d_scratch, depthwise_scratch
from engine.operators.floating.weights import (
    check_float_weights,
    check_map,
    declare_float_weights,
    declare_geometry,
    merged_weights,
)
from engine.operators.kind import Emitter, OperatorKind, StepContext, Tape, expect, register
from engine.operators.weights import (
    WEIGHT_ROLES,
    conv_macs,
    geometry,
    geometry_attributes,
    is_split,
    trained_input,
    weight_operands,
)


class FloatConvolution(OperatorKind):
    """y = clamp(w · x + b, low, high); optional output `mask`: where that lies strictly between the two.

    There a gradient passes; at 0 a rectifier's is 0, as everywhere in the field. Attribute `rectified`: 1
    where the clamp is the layer's activation function, so that gradients stop where it held; 0 where it only
    keeps sums finite.
    """

    depthwise: ClassVar[bool]
    inputs = ("x", "bias")
    optional_inputs = WEIGHT_ROLES
    outputs = ("y",)
    optional_outputs = ("mask",)

    def check(self, op: Operator, graph: Graph) -> None:
        g = geometry(op)
        check_float_weights(op, graph, depthwise=self.depthwise)
        check_map(op, graph, "x", (g.in_height, g.in_width, g.in_channels))
        check_map(op, graph, "y", (g.out_height, g.out_width, g.out_channels))
        check_map(op, graph, "bias", (g.out_channels,))
        low, high = op.number("low"), op.number("high")
        expect(-reference.LIMIT <= low < high <= reference.LIMIT, op, f"clamped to {low:g} and {high:g}")
        mask = op.find_output("mask")
        if mask is not None:
            expect(op.integer("rectified") == 1, op, "only an activation function has a mask")
            tensor = graph.tensor(mask)
            fits = tensor.dtype is DType.BIT and tensor.shape == graph.operand(op, "y").shape
            expect(fits, op, "mask must be like y")

    def evaluate(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        function = reference.depthwise_conv2d if self.depthwise else reference.conv2d
        sums = function(values["x"], merged_weights(values), values["bias"], geometry(op))
        y, mask = reference.clamp(sums, op.number("low"), op.number("high"))
        return {"y": y, "mask": mask}

    def evaluate_real(
        self, op: Operator, graph: Graph, values: Mapping[str, Array], step: StepContext
    ) -> dict[str, Array]:
        weights = merged_weights(values).astype(np.float64)
        x, g = values["x"].astype(np.float64), geometry(op)
        if self.depthwise:
            sums = real.depthwise(x, weights.transpose(2, 0, 1), g)
        else:
            sums = real.conv2d(x, weights.transpose(3, 0, 1, 2), g)
        sums = sums + values["bias"]
        low, high = op.number("low"), op.number("high")
        return {"y": np.clip(sums, low, high), "mask": (sums > low) & (sums < high)}

    def gradient(self, op: Operator, tape: Tape) -> None:
        layer, gradient = op.layer, tape.gradient(op.output("y"))
        if op.integer("rectified"):
            gradient = self._masked(op, tape, gradient)
        if tape.is_state(op.input("bias")):
            operands: dict[str, str | None] = {"gradient": gradient}
            update(op, tape, "float_bias_grad", op.input("bias"), operands)
        dx: str | None = None
        if tape.wants(op.input("x")):
            dx = tape.new_gradient(op.input("x"), f"gradient_from_{layer}")
            tape.emit(
                f"{self.name}_grad_input",
                f"{layer}.grad_input",
                layer,
                Phase.BACKWARD,
                {"gradient": gradient, **weight_operands(op)},
                {"dx": dx},
                **geometry_attributes(geometry(op)),
            )
        trainable = op.find_input("trainable")
        if trainable is not None:
            kept = tape.find(trained_input(layer))
            operands = {
                "gradient": gradient,
                "x": kept or op.input("x"),
                "channels": op.find_input("channels") if kept is None else None,
            }
            update(
                op, tape, f"{self.name}_grad_weight", trainable, operands, **geometry_attributes(geometry(op))
            )
        if dx is not None:
            tape.contribute(op.input("x"), dx)

    def _masked(self, op: Operator, tape: Tape, gradient: str) -> str:
        y = tape.new_gradient(op.output("y"), "sum_gradient")
        operands: dict[str, str | None] = {"gradient": gradient, "mask": tape.mask(op)}
        tape.emit("float_masked", f"{op.layer}.masked", op.layer, Phase.BACKWARD, operands, {"y": y})
        return y

    def emit(self, op: Operator, graph: Graph, emitter: Emitter) -> str:
        low, high = (emitter.number(op.number(key)) for key in ("low", "high"))
        arguments = [
            declare_geometry(op, emitter),
            emitter.pointer(op.input("x")),
            declare_float_weights(op, graph, emitter),
            emitter.pointer(op.input("bias")),
            f"(tb_float_clamp_t){{{low}, {high}}}",
            emitter.pointer(op.output("y")),
            emitter.mask(op.find_output("mask")),
            emitter.scratch(op),
        ]
        return f"tb_{self.name}({', '.join(arguments)});"

    def macs(self, op: Operator, graph: Graph) -> int:
        return conv_macs(op, depthwise=self.depthwise)

    def scratch_bytes(self, op: Operator, graph: Graph) -> int:
        found = depthwise_scratch if self.depthwise else conv2d_scratch
        return found(geometry(op), split=is_split(op))


def update(
    op: Operator, tape: Tape, kind: str, state: str, operands: dict[str, str | None], **values: int
) -> None:
    """Emit the gradient of a trained tensor of the layer, and its update."""
    gradient = tape.new_gradient(state, "gradient")
    what = state.removeprefix(f"{op.layer}.")
    tape.emit(kind, f"{op.layer}.{what}_grad", op.layer, Phase.UPDATE, operands, {"dw": gradient}, **values)
    kept, attributes = tape.update_operands(state)
    of_rule = {key: value for key, value in attributes.items() if key not in ("rounding", "stream")}
    tape.emit(
        "float_update",
        f"{op.layer}.{what}_update",
        op.layer,
        Phase.UPDATE,
        {"gradient": gradient, "value": state, **kept},
        {},
        factor=op.number("update_factor"),
        **of_rule,
    )


@register
class FloatConv2d(FloatConvolution):
    name = "float_conv2d"
    depthwise = False


@register
class FloatDepthwiseConv2d(FloatConvolution):
    name = "float_depthwise_conv2d"
    depthwise = True

    def in_place_pairs(self, op: Operator, graph: Graph) -> tuple[tuple[str, str], ...]:
        """Each block of channels is read before it is written, and lies where it lay."""
        return (("x", "y"),) if geometry(op).stride == 1 else ()
