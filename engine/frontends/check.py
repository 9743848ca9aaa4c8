"""Refuses a backbone whose parts do not fit together; what passes can be compiled without looking again."""

from __future__ import annotations

import math

import numpy as np

from engine.errors import NetworkFileError
from engine.frontends.backbone import (
    INPUT_CHANNELS,
    INPUT_SCALE,
    INPUT_ZERO_POINT,
    Backbone,
    Block,
    ConvLayer,
    LayerQuantization,
    Residual,
)

MAXIMUM_SIZE = 1024
MAXIMUM_CHANNELS = 65_536
MAXIMUM_KERNEL = 15
MAXIMUM_STRIDE = 8
# Sums in float32 of scales this far apart still differ from zero and infinity.
SCALE_RANGE = (1e-20, 1e20)


def check_backbone(backbone: Backbone) -> None:
    """Raise NetworkFileError, naming the layer, at the first shape, range or joint that is wrong."""
    if not backbone.blocks:
        raise NetworkFileError("the network has no blocks after its stem")
    _check_stem(backbone)
    channels, size, quantization = _after(backbone.stem)
    for block in backbone.blocks:
        channels, size, quantization = _check_block(block, channels, size, quantization)
    if backbone.classifier is not None:
        _check_classifier(backbone.classifier, channels, quantization)


def _check_stem(backbone: Backbone) -> None:
    stem = backbone.stem
    _check_layer(stem, depthwise=False)
    _expect(stem, "input channels", stem.in_channels, INPUT_CHANNELS)
    _expect(stem, "input size", stem.in_size, backbone.input_size)
    if stem.input.zero_point != INPUT_ZERO_POINT or not math.isclose(
        stem.input.scale, INPUT_SCALE, rel_tol=1e-5
    ):
        raise NetworkFileError(
            f"{stem.name}: input {_words(stem.input)} are not those of pixel - 128, which are 1/127.5 and 0"
        )


def _check_block(
    block: Block, channels: int, size: int, quantization: LayerQuantization
) -> tuple[int, int, LayerQuantization]:
    entry = (channels, size, quantization)
    if not block.layers:
        raise NetworkFileError(f"{block.name}: it has no convolution")
    for layer in block.layers:
        _check_layer(layer, depthwise=layer is block.depthwise)
        _check_joint(layer, channels, size, quantization)
        if layer is not block.depthwise:
            _expect(layer, "kernel size", layer.kernel_size, 1)
            _expect(layer, "stride", layer.stride, 1)
        channels, size, quantization = _after(layer)
    if block.residual is not None:
        _check_residual(block.name, block.residual, entry, (channels, size))
        quantization = block.residual.output
    return channels, size, quantization


def _check_residual(
    name: str, residual: Residual, entry: tuple[int, int, LayerQuantization], exit_shape: tuple[int, int]
) -> None:
    _check_quantization(f"{name}.residual", "skip", residual.skip)
    _check_quantization(f"{name}.residual", "output", residual.output)
    if entry[:2] != exit_shape:
        raise NetworkFileError(
            f"{name}.residual: the block's input has (channels, size) {entry[:2]} and its output "
            f"{exit_shape}, so they cannot be added"
        )
    if residual.skip != entry[2]:
        raise NetworkFileError(
            f"{name}.residual: the skip operand has {_words(residual.skip)}, but the block's input has "
            f"{_words(entry[2])}"
        )


def _check_classifier(layer: ConvLayer, channels: int, quantization: LayerQuantization) -> None:
    _check_layer(layer, depthwise=False)
    _check_joint(layer, channels, 1, quantization)
    _expect(layer, "kernel size", layer.kernel_size, 1)
    _expect(layer, "stride", layer.stride, 1)


def _check_joint(layer: ConvLayer, channels: int, size: int, quantization: LayerQuantization) -> None:
    _expect(layer, "input channels", layer.in_channels, channels)
    _expect(layer, "input size", layer.in_size, size)
    if layer.input != quantization:
        raise NetworkFileError(
            f"{layer.name}: it reads its input with {_words(layer.input)}, but the tensor before it has "
            f"{_words(quantization)}"
        )


def _check_layer(layer: ConvLayer, *, depthwise: bool) -> None:
    _expect(layer, "depthwise", layer.depthwise, depthwise)
    _check_weight(layer)
    outputs = layer.out_channels
    _check_array(layer, "bias", layer.bias, np.int32, (outputs,))
    _check_array(layer, "weight_scales", layer.weight_scales, np.float32, (outputs,))
    scales = layer.weight_scales
    if not bool(np.all(np.isfinite(scales) & (scales >= SCALE_RANGE[0]) & (scales <= SCALE_RANGE[1]))):
        raise NetworkFileError(
            f"{layer.name}: weight_scales holds values that are not positive finite numbers"
        )
    _check_quantization(layer.name, "input", layer.input)
    _check_quantization(layer.name, "output", layer.output)
    _check_number(layer, "stride", layer.stride, MAXIMUM_STRIDE)
    _check_number(layer, "in_size", layer.in_size, MAXIMUM_SIZE)
    kernel = layer.kernel_size
    _expect(
        layer, "output size", layer.out_size, (layer.in_size + 2 * (kernel // 2) - kernel) // layer.stride + 1
    )


def _check_weight(layer: ConvLayer) -> None:
    shape = layer.weight.shape
    if len(shape) != 4 or shape[2] != shape[3]:
        raise NetworkFileError(f"{layer.name}: weight has shape {shape}, not [O, I, K, K]")
    if shape[2] % 2 == 0 or not 1 <= shape[2] <= MAXIMUM_KERNEL:
        raise NetworkFileError(
            f"{layer.name}: kernel size {shape[2]} is not odd and at most {MAXIMUM_KERNEL}"
        )
    if not (1 <= shape[0] <= MAXIMUM_CHANNELS and 1 <= shape[1] <= MAXIMUM_CHANNELS):
        raise NetworkFileError(
            f"{layer.name}: weight has shape {shape}; channels must be 1..{MAXIMUM_CHANNELS}"
        )
    if layer.depthwise and shape[1] != 1:
        raise NetworkFileError(f"{layer.name}: a depthwise weight has shape [O, 1, K, K], not {shape}")
    _check_array(layer, "weight", layer.weight, np.int8, shape)


def _check_array(
    layer: ConvLayer, field: str, array: np.ndarray, dtype: type[np.generic], shape: tuple[int, ...]
) -> None:
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise NetworkFileError(
            f"{layer.name}: {field} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}"
        )


def _check_quantization(where: str, which: str, quantization: LayerQuantization) -> None:
    scale, zero_point = quantization.scale, quantization.zero_point
    if not (isinstance(scale, float) and math.isfinite(scale) and SCALE_RANGE[0] <= scale <= SCALE_RANGE[1]):
        raise NetworkFileError(f"{where}: {which} scale {scale} is not a positive finite number")
    if not (isinstance(zero_point, int) and -128 <= zero_point <= 127):
        raise NetworkFileError(f"{where}: {which} zero point {zero_point} is not an int8 number")


def _check_number(layer: ConvLayer, field: str, value: int, maximum: int) -> None:
    if not 1 <= value <= maximum:
        raise NetworkFileError(f"{layer.name}: {field} is {value}, not in 1..{maximum}")


def _expect(layer: ConvLayer, what: str, found: int, expected: int) -> None:
    if found != expected:
        raise NetworkFileError(f"{layer.name}: {what} is {found}, expected {expected}")


def _after(layer: ConvLayer) -> tuple[int, int, LayerQuantization]:
    return layer.out_channels, layer.out_size, layer.output


def _words(quantization: LayerQuantization) -> str:
    return f"scale {quantization.scale:g} and zero point {quantization.zero_point}"
