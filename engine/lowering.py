"""A backbone and a scheme → the forward graph with its loss, trainable parts as state.

Integer parameters are fixed here: multipliers, gradient scales, update scales (docs/numerics.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.builder import ModuleBuilder
from engine.errors import GraphError, NetworkFileError
from engine.frontends.backbone import Backbone, Block, ConvLayer, LayerQuantization
from engine.graph import DType, Module, Phase, Quantization
from engine.operators import reference
from engine.operators.shared_exponent import multiplier_bits, multipliers
from engine.operators.weights import geometry_attributes, trained_input
from engine.schemes import LayerUpdate, Scheme, layer_updates

LOGITS, LOSS, LABEL, IMAGE = "logits", "loss", "label", "image"
_RESCALED_BIAS = 1 << 20
_LARGEST_CHANNELS = 65_535
"""The kernels count channels in 16 bits."""
_LARGEST_UPDATE_SCALE = 2.0**96
"""With a learning rate up to 2^30 a step stays a finite float32."""


@dataclass(frozen=True)
class LayerParameters:
    """The integer form of one convolution: what the kernels need. Arrays are per output channel."""

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32]
    shift: int
    gradient_scale: NDArray[np.float32]
    """s[c] = sx · sw[c] / sy."""
    weight_update_scale: NDArray[np.float32]
    bias_update_scale: NDArray[np.float32]


def layer_parameters(
    layer: ConvLayer, *, quantization_aware_scaling: bool, rate: float = 1.0
) -> LayerParameters:
    """Integer parameters of a convolution, with quantization-aware scaling (paper, eq. 4) or without.

    rate: what the scales of updates are multiplied with, in float64, before they are rounded to float32.
    A channel is dead when no input can move its output by half a step; it is never updated. Post-training
    quantization gives dead channels scales so small that their biases saturate int32 and their multipliers
    have a bit or two: those are brought to a coarser scale (same real bias, weights shrunk alike), so that
    both are exact again.
    """
    taps = layer.weight.astype(np.int64).reshape(layer.out_channels, -1)
    weight_scale = layer.weight_scales.astype(np.float64)
    scale = layer.input.scale * weight_scale / layer.output.scale
    dead = np.abs(taps).sum(axis=1) * 255 * scale < 0.5
    bias = layer.bias.astype(np.int64)
    excess = np.where(dead, np.maximum(0, np.ceil(np.log2(np.maximum(np.abs(bias), 1) / _RESCALED_BIAS))), 0)
    factor = np.exp2(excess)
    weight = np.rint(taps / factor[:, None]).astype(np.int8).reshape(layer.weight.shape)
    bias = np.rint(bias / factor).astype(np.int64)
    try:
        multiplier, shift = reference.multiplier_and_shift(scale * factor)
    except GraphError as error:
        raise NetworkFileError(f"layer {layer.name}: {error}") from error
    _check_range(layer, bias, shift)
    alive = np.where(dead, 0.0, 1.0)
    if quantization_aware_scaling:
        weight_update = alive / np.where(dead, 1.0, weight_scale) ** 2
        bias_update = alive / np.where(dead, 1.0, weight_scale * layer.input.scale) ** 2
    else:
        weight_update = bias_update = alive
    weight_update, bias_update = rate * weight_update, rate * bias_update
    largest = max(float(weight_update.max()), float(bias_update.max()))
    if largest > _LARGEST_UPDATE_SCALE:
        raise NetworkFileError(
            f"layer {layer.name}: quantization-aware scaling would multiply a gradient by {largest:.3g}; its "
            "scales are too small to train with"
            + (f" at {rate:g} times the learning rate" if rate != 1 else "")
        )
    return LayerParameters(
        weight=weight,
        bias=bias.astype(np.int32),
        multiplier=multiplier,
        shift=shift,
        gradient_scale=(scale * factor).astype(np.float32),
        weight_update_scale=weight_update.astype(np.float32),
        bias_update_scale=bias_update.astype(np.float32),
    )


def _check_range(layer: ConvLayer, bias: NDArray[np.int64], shift: int) -> None:
    """Refuse a layer whose accumulators could leave 32 bits, whatever values training gives its weights."""
    fan_in = layer.weight[0].size
    largest, limit = int(np.abs(bias).max()), reference.bias_limit(shift)
    if largest > limit:
        raise NetworkFileError(
            f"layer {layer.name}: its largest bias is {largest}, but sums fit 32 bits only up to {limit}; "
            "quantize it with larger scales"
        )
    if fan_in * 128 * 255 >= (1 << 28) >> shift:
        raise NetworkFileError(
            f"layer {layer.name}: a sum of {fan_in} products may leave 32 bits; at most "
            f"{((1 << 28) >> shift) // (128 * 255)} are possible at its scales"
        )
    channels = max(layer.in_channels, layer.out_channels)
    if channels > _LARGEST_CHANNELS:
        raise NetworkFileError(
            f"layer {layer.name}: it has {channels} channels; at most {_LARGEST_CHANNELS} are possible"
        )


def layer_geometry(layer: ConvLayer) -> reference.ConvGeometry:
    return reference.ConvGeometry(
        in_height=layer.in_size,
        in_width=layer.in_size,
        in_channels=layer.in_channels,
        out_height=layer.out_size,
        out_width=layer.out_size,
        out_channels=layer.out_channels,
        kernel_height=layer.kernel_size,
        kernel_width=layer.kernel_size,
        stride=layer.stride,
        padding=layer.kernel_size // 2,
    )


def lower(
    backbone: Backbone,
    scheme: Scheme,
    *,
    classes: int,
    quantization_aware_scaling: bool,
    convolution_rate: float = 1.0,
) -> Module:
    """The forward graph up to the loss. The classifier is float32, new (zero) and always trained.

    convolution_rate: learning rate of convolutions over that of the classifier, part of the update scales.
    """
    return _Lowering(backbone, scheme, classes, quantization_aware_scaling, convolution_rate).run()


class _Lowering:
    def __init__(self, backbone: Backbone, scheme: Scheme, classes: int, scaling: bool, rate: float) -> None:
        self.backbone = backbone
        self.classes = classes
        self.scaling = scaling
        self.rate = rate
        self.updates = dict(
            zip((layer.name for layer in backbone.layers), layer_updates(scheme, backbone), strict=True)
        )
        self.builder = ModuleBuilder(backbone.name)

    def run(self) -> Module:
        backbone, builder = self.backbone, self.builder
        builder.argument(LABEL, DType.INT32)
        size = backbone.input_size
        builder.input(IMAGE, (size, size, 3), _quantization(backbone.stem.input))
        value = self._convolution(backbone.stem, IMAGE)
        for block in backbone.blocks:
            value = self._block(block, value)
        self._head(value)
        return builder.finish((LOGITS, LOSS))

    def _block(self, block: Block, value: str) -> str:
        skip = value
        for layer in block.layers:
            value = self._convolution(layer, value)
        if block.residual is None:
            return value
        shape = self.builder.tensor(value).shape
        total = self.builder.value(
            f"{block.name}.sum", DType.INT8, shape, _quantization(block.residual.output)
        )
        name = f"{block.name}.residual"
        self.builder.operator("add", name, name, Phase.FORWARD, {"a": skip, "b": value}, {"y": total})
        return total

    def _convolution(self, layer: ConvLayer, x: str) -> str:
        builder, name = self.builder, layer.name
        p = layer_parameters(layer, quantization_aware_scaling=self.scaling, rate=self.rate)
        g = layer_geometry(layer)
        update = self.updates[name]
        store_bias = builder.state if update.bias else builder.constant
        weights = self._weights(layer, p.weight, update)
        bias = store_bias(f"{name}.bias", DType.INT32, p.bias)
        multiplier = builder.constant(f"{name}.multiplier", DType.INT32, p.multiplier)
        for suffix in ("gradient_scale", "weight_update_scale", "bias_update_scale"):
            builder.constant(f"{name}.{suffix}", DType.FLOAT32, getattr(p, suffix))
        self._gradient_multiplier(name, p.gradient_scale, g, depthwise=layer.depthwise)
        if not layer.depthwise:
            self._trained_input(name, x, weights)
        shape = (layer.out_size, layer.out_size, layer.out_channels)
        y = builder.value(f"{name}.output", DType.INT8, shape, _quantization(layer.output))
        builder.operator(
            "depthwise_conv2d" if layer.depthwise else "conv2d",
            name,
            name,
            Phase.FORWARD,
            {"x": x, **weights, "bias": bias, "multiplier": multiplier},
            {"y": y},
            in_zero=layer.input.zero_point,
            out_zero=layer.output.zero_point,
            shift=p.shift,
            **geometry_attributes(g),
        )
        return y

    def _trained_input(self, name: str, x: str, weights: dict[str, str | None]) -> None:
        """Keep only the channels that the update of the weights reads, where it does not read all."""
        channels, trainable = weights.get("channels"), weights.get("trainable")
        if channels is None or trainable is None:
            return
        builder, source = self.builder, self.builder.tensor(x)
        height, width, _ = source.shape
        shape = (height, width, builder.tensor(trainable).shape[3])
        y = builder.value(trained_input(name), DType.INT8, shape, source.quantization)
        operands: dict[str, str | None] = {"x": x, "channels": channels}
        builder.operator("select_channels", f"{name}.select", name, Phase.FORWARD, operands, {"y": y})

    def _gradient_multiplier(
        self, name: str, scale: NDArray[np.float32], g: reference.ConvGeometry, *, depthwise: bool
    ) -> None:
        """The gradient scale for int16 gradients: scale[c] = multiplier[c] · the constant's quantization."""
        kernel = g.kernel_height * g.kernel_width
        bits = multiplier_bits(kernel if depthwise else kernel * g.out_channels, g.out_height * g.out_width)
        multiplier, exponent = multipliers(scale, bits)
        unit = Quantization(2.0 ** (exponent - 32), 0)
        self.builder.constant(f"{name}.gradient_multiplier", DType.INT32, multiplier, unit)

    def _weights(
        self, layer: ConvLayer, weight: NDArray[np.int8], update: LayerUpdate
    ) -> dict[str, str | None]:
        """Store the weights in the kernels' order, trainable channels in SRAM, the others in flash."""
        builder, name = self.builder, layer.name
        stored = weight[:, 0] if layer.depthwise else weight.transpose(0, 2, 3, 1)
        trained = list(update.channels)
        if not trained:
            return {"frozen": builder.constant(f"{name}.weight", DType.INT8, stored)}
        if len(trained) == layer.in_channels:
            return {"trainable": builder.state(f"{name}.weight", DType.INT8, stored)}
        rest = [channel for channel in range(layer.in_channels) if channel not in update.channels]
        axis = 0 if layer.depthwise else 3
        order = np.array(trained + rest, np.uint16)
        return {
            "frozen": builder.constant(f"{name}.weight_frozen", DType.INT8, stored.take(rest, axis)),
            "trainable": builder.state(f"{name}.weight", DType.INT8, stored.take(trained, axis)),
            "channels": builder.constant(f"{name}.channels", DType.UINT16, order),
        }

    def _head(self, value: str) -> None:
        builder = self.builder
        last = builder.tensor(value)
        channels = last.shape[-1]
        classifier = self.backbone.classifier
        quantization = last.quantization if classifier is None else _quantization(classifier.input)
        pooled = builder.value("pool.output", DType.INT8, (channels,), quantization)
        builder.operator("global_average_pool", "pool", "pool", Phase.FORWARD, {"x": value}, {"y": pooled})
        features = builder.value("features", DType.FLOAT32, (channels,))
        builder.operator("dequantize", "features", "features", Phase.FORWARD, {"x": pooled}, {"y": features})
        add_classifier(builder, features, self.classes)


def add_classifier(builder: ModuleBuilder, features: str, classes: int) -> None:
    """From float32 features [C] to the loss: a float32 classifier, zero-initialized and always trained."""
    (channels,) = builder.tensor(features).shape
    weight = builder.state("classifier.weight", DType.FLOAT32, np.zeros((classes, channels), np.float32))
    bias = builder.state("classifier.bias", DType.FLOAT32, np.zeros(classes, np.float32))
    logits = builder.value(LOGITS, DType.FLOAT32, (classes,))
    builder.operator(
        "fully_connected",
        "classifier",
        "classifier",
        Phase.FORWARD,
        {"x": features, "weight": weight, "bias": bias},
        {"y": logits},
    )
    loss = builder.value(LOSS, DType.FLOAT32, ())
    gradient = builder.value("logits.gradient", DType.FLOAT32, (classes,))
    builder.operator(
        "softmax_cross_entropy",
        "loss",
        "loss",
        Phase.BACKWARD,
        {"logits": logits, "label": LABEL},
        {"loss": loss, "gradient": gradient},
    )


def _quantization(quantization: LayerQuantization) -> Quantization:
    return Quantization(float(quantization.scale), int(quantization.zero_point))
