"""The gradient rule of each operator kind beside finite differences, in graphs that hold little else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pytest
from real_loss import RealStep, directions

from engine.autodiff import GRADIENTS, differentiate
from engine.builder import ModuleBuilder
from engine.errors import GraphError
from engine.graph import Array, DType, Module, Operator, Phase, Quantization
from engine.lowering import IMAGE, LABEL, LOGITS, LOSS
from engine.operators import KINDS, OperatorKind, shared_exponent
from engine.operators.reference import ConvGeometry, multiplier_and_shift
from engine.operators.weights import geometry_attributes
from engine.passes.prune import prune
from engine.verifier import verify

TOLERANCE = 2e-6
CLASSES, LABEL_VALUE = 3, 1
INPUT = Quantization(0.01, 5)
RULES = {
    "conv2d",
    "depthwise_conv2d",
    "add",
    "global_average_pool",
    "dequantize",
    "fully_connected",
    "softmax_cross_entropy",
    "float_conv2d",
    "float_depthwise_conv2d",
    "float_add",
    "float_average_pool",
}


def test_every_kind_has_a_rule_or_says_that_it_has_none() -> None:
    assert {name for name, kind in KINDS.items() if type(kind).gradient is not OperatorKind.gradient} == RULES
    for name in KINDS.keys() - RULES:
        operator = Operator(name, "it", "layer", Phase.BACKWARD, (), ())
        with pytest.raises(GraphError, match=f"operator it: {name} has no gradient rule"):
            KINDS[name].gradient(operator, None)  # type: ignore[arg-type]


@pytest.fixture(params=GRADIENTS)
def gradient(request: pytest.FixtureRequest) -> str:
    """In real semantics an int16 gradient is the real one."""
    return str(request.param)


@dataclass(frozen=True)
class Layer:
    """A convolution under test; `trained`: channels of its weights, None: it trains its bias only."""

    height: int
    width: int
    inputs: int
    outputs: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: int = 0
    depthwise: bool = False
    trained: tuple[int, ...] | None = ()

    @property
    def geometry(self) -> ConvGeometry:
        sizes = [
            (size + 2 * self.padding - kernel) // self.stride + 1
            for size, kernel in zip((self.height, self.width), self.kernel, strict=True)
        ]
        return ConvGeometry(
            self.height,
            self.width,
            self.inputs,
            *sizes,
            self.outputs,
            *self.kernel,
            self.stride,
            self.padding,
        )


class Network:
    """image → a 1×1 convolution that trains its bias → what is under test → pool → classifier → loss."""

    def __init__(self, layer: Layer, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.builder = ModuleBuilder("network")
        self.builder.argument(LABEL, DType.INT32)
        self.builder.input(IMAGE, (layer.height, layer.width, layer.inputs), INPUT)
        first = Layer(layer.height, layer.width, layer.inputs, layer.inputs, (1, 1))
        self.entry = self.convolution("first", IMAGE, first)

    def convolution(self, name: str, x: str, layer: Layer, *, clamped: bool = False) -> str:
        """Add a convolution of whose outputs none or about half are clamped."""
        builder, g = self.builder, layer.geometry
        dense = (
            (g.out_channels, *layer.kernel)
            if layer.depthwise
            else (g.out_channels, *layer.kernel, g.in_channels)
        )
        weight = self.generator.integers(-127, 128, dense, dtype=np.int8)
        taps = min(layer.kernel[0], layer.height) * min(layer.kernel[1], layer.width)
        fan_in = taps * (1 if layer.depthwise else layer.inputs)
        spread = 700.0 if clamped else 20.0
        scales = self.generator.uniform(0.7, 1.0, g.out_channels) * spread / (70 * 75 * np.sqrt(fan_in))
        multiplier, shift = multiplier_and_shift(scales)
        in_q = builder.tensor(x).quantization
        assert in_q is not None
        for suffix, data in (
            ("gradient_scale", scales),
            ("weight_update_scale", np.ones_like(scales)),
            ("bias_update_scale", np.ones_like(scales)),
        ):
            builder.constant(f"{name}.{suffix}", DType.FLOAT32, data.astype(np.float32))
        multipliers, exponent = shared_exponent.multipliers(scales.astype(np.float32), 31)
        unit = Quantization(2.0 ** (exponent - 32), 0)
        builder.constant(f"{name}.gradient_multiplier", DType.INT32, multipliers, unit)
        out = Quantization(0.02, 3)
        y = builder.value(f"{name}.output", DType.INT8, (g.out_height, g.out_width, g.out_channels), out)
        builder.operator(
            "depthwise_conv2d" if layer.depthwise else "conv2d",
            name,
            name,
            Phase.FORWARD,
            {
                "x": x,
                **self._weights(name, weight, layer),
                "bias": builder.state(f"{name}.bias", DType.INT32, self._integers(500, g.out_channels)),
                "multiplier": builder.constant(f"{name}.multiplier", DType.INT32, multiplier),
            },
            {"y": y},
            in_zero=in_q.zero_point,
            out_zero=out.zero_point,
            shift=shift,
            **geometry_attributes(g),
        )
        return y

    def _integers(self, limit: int, count: int) -> Array:
        return self.generator.integers(-limit, limit, count).astype(np.int32)

    def _weights(self, name: str, weight: Array, layer: Layer) -> dict[str, str | None]:
        builder, axis = self.builder, 0 if layer.depthwise else 3
        if layer.trained is None:
            return {"frozen": builder.constant(f"{name}.weight", DType.INT8, weight)}
        rest = [channel for channel in range(layer.inputs) if channel not in layer.trained]
        if not layer.trained or not rest:
            return {"trainable": builder.state(f"{name}.weight", DType.INT8, weight)}
        order = np.array([*layer.trained, *rest], np.uint16)
        return {
            "trainable": builder.state(f"{name}.weight", DType.INT8, weight.take(layer.trained, axis)),
            "frozen": builder.constant(f"{name}.rest", DType.INT8, weight.take(rest, axis)),
            "channels": builder.constant(f"{name}.channels", DType.UINT16, order),
        }

    def add(self, name: str, a: str, b: str, out: Quantization) -> str:
        y = self.builder.value(f"{name}.output", DType.INT8, self.builder.tensor(a).shape, out)
        self.builder.operator("add", name, name, Phase.FORWARD, {"a": a, "b": b}, {"y": y})
        return y

    def finish(self, x: str, mode: str) -> Module:
        builder, (height, width, channels) = self.builder, self.builder.tensor(x).shape
        del height, width
        y = builder.value("pool.output", DType.INT8, (channels,), Quantization(0.015, -7))
        builder.operator("global_average_pool", "pool", "pool", Phase.FORWARD, {"x": x}, {"y": y})
        f = builder.value("features", DType.FLOAT32, (channels,))
        builder.operator("dequantize", "features", "features", Phase.FORWARD, {"x": y}, {"y": f})
        shape = (CLASSES, channels)
        weight = builder.state("classifier.weight", DType.FLOAT32, np.zeros(shape, np.float32))
        bias = builder.state("classifier.bias", DType.FLOAT32, np.zeros(CLASSES, np.float32))
        logits = builder.value(LOGITS, DType.FLOAT32, (CLASSES,))
        operands: dict[str, str | None] = {"x": f, "weight": weight, "bias": bias}
        builder.operator(
            "fully_connected", "classifier", "classifier", Phase.FORWARD, operands, {"y": logits}
        )
        loss = builder.value(LOSS, DType.FLOAT32, ())
        gradient = builder.value("logits.gradient", DType.FLOAT32, (CLASSES,))
        outputs: dict[str, str | None] = {"loss": loss, "gradient": gradient}
        inputs: dict[str, str | None] = {"logits": logits, "label": LABEL}
        builder.operator("softmax_cross_entropy", "loss", "loss", Phase.BACKWARD, inputs, outputs)
        module = verify(builder.finish((LOGITS, LOSS)))
        return verify(prune(differentiate(module, LOSS, rounding="nearest", accumulate=1, gradient=mode)))


def step_of(module: Module, seed: int = 0) -> RealStep:
    shape = module.graph.tensor(IMAGE).shape
    image = np.random.default_rng(seed).integers(-128, 128, shape, dtype=np.int8)
    return RealStep(module, image, LABEL_VALUE)


def kept(step: RealStep, operator: str) -> float:
    """Share of an operator's outputs that are not clamped."""
    (op,) = [op for op in step.module.graph.operators if op.name == operator]
    return float(step.values[op.output("mask")].mean())


def assert_right(step: RealStep, values: Iterable[str]) -> None:
    """Gradients of all state and of some forward values agree with finite differences and are not zero."""
    gradients = dict(step.state_gradients)
    gradients |= {name: step.value_gradient(name) for name in values}
    for seed, (name, gradient) in enumerate(gradients.items()):
        assert gradient.any(), name
        assert step.error(name, gradient, directions(gradient.shape, seed, 3)) < TOLERANCE, name


LAYERS = {
    "pointwise": Layer(3, 4, 5, 6, (1, 1)),
    "pointwise, some channels": Layer(3, 4, 5, 6, (1, 1), trained=(1, 4)),
    "pointwise, last channel": Layer(3, 4, 5, 6, (1, 1), trained=(4,)),
    "pointwise, bias only": Layer(3, 4, 5, 6, (1, 1), trained=None),
    "pointwise with stride": Layer(5, 4, 3, 2, (1, 1), stride=3),
    "3×3": Layer(4, 5, 3, 4, (3, 3), padding=1),
    "3×3, some channels": Layer(4, 5, 7, 4, (3, 3), padding=1, trained=(0, 2, 3, 6)),
    "3×3 with stride": Layer(6, 5, 3, 4, (3, 3), stride=2, padding=1),
    "5×5, stride 2, even size": Layer(6, 6, 2, 3, (5, 5), stride=2, padding=2, trained=(1,)),
    "no padding": Layer(5, 6, 2, 3, (3, 3)),
    "3×5": Layer(6, 7, 2, 3, (3, 5), padding=1),
    "kernel larger than the map": Layer(2, 2, 3, 2, (5, 5), padding=2),
    "map of one pixel": Layer(1, 1, 3, 2, (3, 3), padding=1),
    "stride above the kernel": Layer(7, 7, 2, 3, (3, 3), stride=4, padding=1),
    "depthwise 3×3": Layer(4, 5, 3, 3, (3, 3), padding=1, depthwise=True),
    "depthwise 3×3, some channels": Layer(4, 5, 6, 6, (3, 3), padding=1, depthwise=True, trained=(1, 2, 5)),
    "depthwise, bias only": Layer(4, 5, 3, 3, (3, 3), padding=1, depthwise=True, trained=None),
    "depthwise 5×5 with stride": Layer(6, 5, 3, 3, (5, 5), stride=2, padding=2, depthwise=True),
    "depthwise 7×7 on 1×1": Layer(1, 1, 3, 3, (7, 7), padding=3, depthwise=True),
    "depthwise 1×1 with stride": Layer(4, 4, 3, 3, (1, 1), stride=2, depthwise=True, trained=(2,)),
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("clamped", [False, True], ids=["free", "clamped"])
def test_convolutions(layer: Layer, clamped: bool, gradient: str) -> None:
    network = Network(layer, seed=1)
    y = network.convolution("layer", network.entry, layer, clamped=clamped)
    module = network.finish(y, gradient)
    steps = (step_of(module, seed) for seed in range(30))
    step = next(step for step in steps if kept(step, "layer") and (kept(step, "layer") < 1.0) == clamped)
    assert_right(step, [network.entry, y, "pool.output", "features"])


@pytest.mark.parametrize("scale", [0.03, 0.008], ids=["free", "clamped"])
def test_sum_of_a_tensor_and_what_was_made_of_it(scale: float, gradient: str) -> None:
    """The skip is read twice: its gradients add up."""
    layer = Layer(3, 3, 4, 4, (1, 1))
    network = Network(layer, seed=2)
    branch = network.convolution("layer", network.entry, layer)
    y = network.add("residual", network.entry, branch, Quantization(scale, -20))
    step = step_of(network.finish(y, gradient))
    assert (kept(step, "residual") == 1.0) == (scale == 0.03)
    assert any(op.kind.startswith("accumulate") for op in step.module.graph.operators)
    assert_right(step, [network.entry, branch, y])


def test_sum_of_two_branches(gradient: str) -> None:
    layer = Layer(3, 3, 4, 4, (1, 1))
    network = Network(layer, seed=3)
    a = network.convolution("left", network.entry, layer)
    b = network.convolution("right", network.entry, dataclasses.replace(layer, trained=(1, 3)))
    y = network.add("sum", a, b, Quantization(0.025, 4))
    assert_right(step_of(network.finish(y, gradient)), [network.entry, a, b, y])


def test_sum_whose_first_operand_nothing_trains(gradient: str) -> None:
    """The image itself is a skip: its gradient is not computed."""
    layer = Layer(3, 3, 4, 4, (1, 1))
    network = Network(layer, seed=4)
    y = network.add("sum", IMAGE, network.entry, Quantization(0.03, 0))
    step = step_of(network.finish(y, gradient))
    (op,) = [op for op in step.module.graph.operators if op.kind.startswith("add_grad")]
    expected = {"f32": ["gb"], "i16": ["dx", "dx_exponent"]}
    assert [role for role, _ in op.outputs] == expected[gradient]
    assert_right(step, [network.entry, y])


def test_sums_in_a_row(gradient: str) -> None:
    layer = Layer(2, 3, 3, 3, (3, 3), padding=1, depthwise=True)
    network = Network(layer, seed=5)
    x = network.entry
    values = [x]
    for index in range(3):
        branch = network.convolution(f"layer{index}", x, layer)
        x = network.add(f"sum{index}", x, branch, Quantization(0.02 + 0.01 * index, index))
        values += [branch, x]
    assert_right(step_of(network.finish(x, gradient)), values)
