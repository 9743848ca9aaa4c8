"""A backbone and a scheme → the forward graph of the same network in float32, trainable parts as state.

Weights are what the quantized ones stand for, weight_scales[o] · weight, and biases input.scale ·
weight_scales[o] · bias: no float32 checkpoint is known here, so training starts from the dequantized network.

Activation functions, which a quantized network only has as the clamp of its int8 outputs, are told from
output zero points: a convolution whose output has zero point −128 can give nothing below 0, so it had a
rectifier; any other is linear. If no such output reaches above 6, the rectifier was ReLU6, else ReLU; a range
that ends lower is what calibration happened to see, not a part of the network. Sums of residuals are linear.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.builder import ModuleBuilder
from engine.errors import NetworkFileError
from engine.frontends.backbone import Backbone, Block, ConvLayer
from engine.graph import Array, DType, Module, Phase, Quantization
from engine.lowering import IMAGE, LABEL, LOGITS, LOSS, add_classifier, layer_geometry
from engine.operators.floating.reference import LIMIT
from engine.operators.floating.weights import CHANNEL_AXIS
from engine.operators.weights import geometry_attributes, trained_input
from engine.schemes import LayerUpdate, Scheme, layer_updates

_RECTIFIED_ZERO = -128
_RELU6 = 6.0
_LARGEST_CHANNELS = 65_535
"""The kernels count channels in 16 bits."""
_LARGEST_SUM = 65_536
"""Products in a sum: it stays finite whatever training makes of the weights (docs/numerics.md)."""
_LARGEST_WEIGHT = 2.0**60
"""What updates keep weights and biases within."""


def lower_float(backbone: Backbone, scheme: Scheme, *, classes: int, update_factor: float = 1.0) -> Module:
    """The forward graph up to the loss. The classifier is new (zero) and always trained.

    update_factor: on the gradients of convolutions. Raises NetworkFileError where the float32 network is not
    known or its kernels cannot run it.
    """
    return _Lowering(backbone, scheme, classes, update_factor).run()


def is_rectified(layer: ConvLayer) -> bool:
    """Whether an activation function follows the convolution."""
    return layer.output.zero_point == _RECTIFIED_ZERO


def rectifier_limit(backbone: Backbone) -> float:
    """What the network's rectifiers are clamped to from above: 6, or LIMIT for a plain ReLU."""
    tops = [255 * layer.output.scale for layer in backbone.layers if is_rectified(layer)]
    half_a_step = _RELU6 / 510
    return _RELU6 if max(tops, default=0.0) <= _RELU6 + half_a_step else LIMIT


def real_weights(layer: ConvLayer) -> NDArray[np.float32]:
    """In the kernels' order: [KH, KW, IC, OC], of a depthwise convolution [KH, KW, C]."""
    scales = layer.weight_scales.astype(np.float64)[:, None, None, None]
    real = (layer.weight * scales).astype(np.float32)
    return real[:, 0].transpose(1, 2, 0) if layer.depthwise else real.transpose(2, 3, 1, 0)


def real_bias(layer: ConvLayer) -> NDArray[np.float32]:
    """[OC]. Never −0: a sum that starts there could tell a border of zeros from none."""
    scales = layer.input.scale * layer.weight_scales.astype(np.float64)
    return (layer.bias * scales).astype(np.float32) + np.float32(0.0)


class _Lowering:
    def __init__(self, backbone: Backbone, scheme: Scheme, classes: int, update_factor: float) -> None:
        self.backbone = backbone
        self.classes = classes
        self.update_factor = float(np.float32(update_factor))
        self.rectifier = rectifier_limit(backbone)
        self.updates = dict(
            zip((layer.name for layer in backbone.layers), layer_updates(scheme, backbone), strict=True)
        )
        self.builder = ModuleBuilder(backbone.name)

    def run(self) -> Module:
        backbone, builder = self.backbone, self.builder
        builder.argument(LABEL, DType.INT32)
        size, quantization = backbone.input_size, backbone.stem.input
        shape = (size, size, 3)
        builder.input(IMAGE, shape, Quantization(float(quantization.scale), int(quantization.zero_point)))
        value = builder.value("pixels", DType.FLOAT32, shape)
        builder.operator("dequantize", "pixels", "pixels", Phase.FORWARD, {"x": IMAGE}, {"y": value})
        value = self._convolution(backbone.stem, value)
        for block in backbone.blocks:
            value = self._block(block, value)
        features = builder.value("features", DType.FLOAT32, (builder.tensor(value).shape[-1],))
        builder.operator("float_average_pool", "pool", "pool", Phase.FORWARD, {"x": value}, {"y": features})
        add_classifier(builder, features, self.classes)
        return builder.finish((LOGITS, LOSS))

    def _block(self, block: Block, value: str) -> str:
        skip = value
        for layer in block.layers:
            value = self._convolution(layer, value)
        if block.residual is None:
            return value
        if block.residual.output.zero_point == _RECTIFIED_ZERO:
            raise NetworkFileError(
                f"{block.name}: the zero point of its residual sum is {_RECTIFIED_ZERO}, as if an activation "
                "function followed it; float32 networks have none there"
            )
        total = self.builder.value(f"{block.name}.sum", DType.FLOAT32, self.builder.tensor(value).shape)
        name = f"{block.name}.residual"
        self.builder.operator("float_add", name, name, Phase.FORWARD, {"a": skip, "b": value}, {"y": total})
        return total

    def _convolution(self, layer: ConvLayer, x: str) -> str:
        _check_range(layer)
        builder, name, update = self.builder, layer.name, self.updates[layer.name]
        weights = self._weights(layer, update)
        store_bias = builder.state if update.bias else builder.constant
        bias = store_bias(f"{name}.bias", DType.FLOAT32, real_bias(layer))
        if not layer.depthwise:
            self._trained_input(name, x, weights)
        shape = (layer.out_size, layer.out_size, layer.out_channels)
        y = builder.value(f"{name}.output", DType.FLOAT32, shape)
        rectified = is_rectified(layer)
        builder.operator(
            "float_depthwise_conv2d" if layer.depthwise else "float_conv2d",
            name,
            name,
            Phase.FORWARD,
            {"x": x, **weights, "bias": bias},
            {"y": y},
            rectified=int(rectified),
            low=0.0 if rectified else -LIMIT,
            high=self.rectifier if rectified else LIMIT,
            update_factor=self.update_factor,
            **geometry_attributes(layer_geometry(layer)),
        )
        return y

    def _trained_input(self, name: str, x: str, weights: dict[str, str | None]) -> None:
        """Keep only the channels that the update of the weights reads, where it does not read all."""
        channels, trainable = weights.get("channels"), weights.get("trainable")
        if channels is None or trainable is None:
            return
        height, width, _ = self.builder.tensor(x).shape
        count = self.builder.tensor(trainable).shape[CHANNEL_AXIS]
        y = self.builder.value(trained_input(name), DType.FLOAT32, (height, width, count))
        operands: dict[str, str | None] = {"x": x, "channels": channels}
        self.builder.operator("select_channels", f"{name}.select", name, Phase.FORWARD, operands, {"y": y})

    def _weights(self, layer: ConvLayer, update: LayerUpdate) -> dict[str, str | None]:
        """Trainable channels in SRAM, the others in flash."""
        builder, name, stored = self.builder, layer.name, real_weights(layer)
        trained = list(update.channels)
        if not trained:
            return {"frozen": self._constant(f"{name}.weight", stored)}
        if len(trained) == layer.in_channels:
            return {"trainable": builder.state(f"{name}.weight", DType.FLOAT32, stored)}
        rest = [channel for channel in range(layer.in_channels) if channel not in update.channels]
        order = np.array(trained + rest, np.uint16)
        return {
            "frozen": self._constant(f"{name}.weight_frozen", stored.take(rest, CHANNEL_AXIS)),
            "trainable": builder.state(f"{name}.weight", DType.FLOAT32, stored.take(trained, CHANNEL_AXIS)),
            "channels": builder.constant(f"{name}.channels", DType.UINT16, order),
        }

    def _constant(self, name: str, data: Array) -> str:
        return self.builder.constant(name, DType.FLOAT32, data)


def _check_range(layer: ConvLayer) -> None:
    """Refuse a layer that the kernels cannot count, or whose sums could become infinite."""
    channels = max(layer.in_channels, layer.out_channels)
    if channels > _LARGEST_CHANNELS:
        raise NetworkFileError(
            f"layer {layer.name}: it has {channels} channels; at most {_LARGEST_CHANNELS} are possible"
        )
    products = layer.kernel_size**2 * (1 if layer.depthwise else channels)
    if products > _LARGEST_SUM:
        raise NetworkFileError(
            f"layer {layer.name}: a sum has {products} products; at most {_LARGEST_SUM} are possible"
        )
    for name, values in (("weights", real_weights(layer)), ("biases", real_bias(layer))):
        largest = float(np.abs(values).max())
        if not largest <= _LARGEST_WEIGHT:
            raise NetworkFileError(
                f"layer {layer.name}: its real {name} reach {largest:.3g}; at most {_LARGEST_WEIGHT:.3g} are "
                "possible"
            )
