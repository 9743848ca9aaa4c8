"""The kernels of float32 networks as functions of arrays, every buffer between guard bytes."""

import ctypes
from dataclasses import dataclass

import numpy as np
from kernel_bindings import Kernels
from kernel_data import Buffers, CUpdate, Step

from engine.operators.fixed_point import pack_mask
from engine.operators.floating import scratch
from engine.operators.reference import ConvGeometry

CHANNEL_AXIS = 2


@dataclass(frozen=True)
class FloatWeights:
    """As they are stored: one part or two; channels: trainable ones first."""

    frozen: np.ndarray | None
    trainable: np.ndarray | None
    channels: np.ndarray | None


def split_float_weights(weights: np.ndarray, trainable: list[int] | None) -> FloatWeights:
    """Weights [KH, KW, IC, OC] or [KH, KW, C] with these channels trainable; None: all are frozen."""
    if trainable is None:
        return FloatWeights(weights.copy(), None, None)
    rest = [channel for channel in range(weights.shape[CHANNEL_AXIS]) if channel not in trainable]
    if not rest:
        return FloatWeights(None, weights.copy(), None)
    parts = (np.ascontiguousarray(weights.take(chosen, CHANNEL_AXIS)) for chosen in (rest, trainable))
    return FloatWeights(*parts, np.array([*trainable, *rest], np.uint16))


class CFloatWeights(ctypes.Structure):
    _fields_ = (
        ("frozen", ctypes.c_void_p),
        ("trainable", ctypes.c_void_p),
        ("channels", ctypes.c_void_p),
        ("trainable_count", ctypes.c_uint16),
    )


class CClamp(ctypes.Structure):
    _fields_ = (("low", ctypes.c_float), ("high", ctypes.c_float))


def _weights(b: Buffers, weights: FloatWeights) -> CFloatWeights:
    count = 0 if weights.trainable is None else weights.trainable.shape[CHANNEL_AXIS]
    places = (b.read(data) for data in (weights.frozen, weights.trainable, weights.channels))
    return CFloatWeights(*places, count)


def _scratch(b: Buffers, size: int) -> ctypes.c_void_p | None:
    return b.fresh(size, np.uint8)[0] if size else None


def _output_shape(g: ConvGeometry) -> tuple[int, int, int]:
    return (g.out_height, g.out_width, g.out_channels)


def convolution(
    kernels: Kernels,
    x: np.ndarray,
    weights: FloatWeights,
    bias: np.ndarray,
    g: ConvGeometry,
    clamp: tuple[float, float],
    *,
    depthwise: bool,
    masked: bool,
    in_place: bool = False,
) -> tuple[np.ndarray, np.ndarray | None]:
    """(y, mask); in place: y is x."""
    b, shape = Buffers(), _output_shape(g)
    source, over = b.write(x) if in_place else (b.read(x), None)
    y, result = (source, over) if in_place else b.fresh(shape, np.float32)
    mask, bits = b.fresh((int(np.prod(shape)) + 7) // 8, np.uint8)
    w, conv = _weights(b, weights), kernels._conv(b, g, None)
    split = weights.channels is not None
    size = scratch.depthwise_scratch(g, split=split) if depthwise else scratch.conv2d_scratch(g, split=split)
    kernels._call(
        "tb_float_depthwise_conv2d" if depthwise else "tb_float_conv2d",
        ctypes.byref(conv),
        source,
        ctypes.byref(w),
        b.read(bias),
        CClamp(*clamp),
        y,
        mask if masked else None,
        _scratch(b, size),
    )
    b.check()
    assert result is not None
    return result, Kernels._unpack(bits, shape) if masked else None


def grad_input(
    kernels: Kernels,
    gradient: np.ndarray,
    weights: FloatWeights,
    g: ConvGeometry,
    *,
    depthwise: bool,
    in_place: bool = False,
) -> np.ndarray:
    b = Buffers()
    source, over = b.write(gradient) if in_place else (b.read(gradient), None)
    dx, result = (source, over) if in_place else b.fresh((g.in_height, g.in_width, g.in_channels), np.float32)
    w, conv = _weights(b, weights), kernels._conv(b, g, None)
    split = weights.channels is not None
    size = scratch.depthwise_grad_scratch(g, split=split) if depthwise else scratch.conv2d_grad_scratch(g)
    name = "tb_float_depthwise_conv2d_grad_input" if depthwise else "tb_float_conv2d_grad_input"
    kernels._call(name, ctypes.byref(conv), source, ctypes.byref(w), dx, _scratch(b, size))
    b.check()
    assert result is not None
    return result


def conv2d_grad_weight(kernels: Kernels, gradient: np.ndarray, x: np.ndarray, g: ConvGeometry) -> np.ndarray:
    """`x` holds the channels whose weights are trained."""
    b, count = Buffers(), x.shape[2]
    dw, result = b.fresh((g.kernel_height, g.kernel_width, count, g.out_channels), np.float32)
    conv = kernels._conv(b, g, None)
    operands = (ctypes.byref(conv), b.read(gradient), b.read(x), dw, count)
    kernels._call("tb_float_conv2d_grad_weight", *operands)
    b.check()
    return result


def depthwise_grad_weight(
    kernels: Kernels,
    gradient: np.ndarray,
    x: np.ndarray,
    channels: np.ndarray | None,
    count: int,
    g: ConvGeometry,
) -> np.ndarray:
    b = Buffers()
    dw, result = b.fresh((g.kernel_height, g.kernel_width, count), np.float32)
    conv, size = kernels._conv(b, g, None), scratch.depthwise_grad_weight_scratch(g)
    operands = (ctypes.byref(conv), b.read(gradient), b.read(x), b.read(channels), dw, count)
    kernels._call("tb_float_depthwise_conv2d_grad_weight", *operands, _scratch(b, size))
    b.check()
    return result


def bias_grad(kernels: Kernels, gradient: np.ndarray) -> np.ndarray:
    b = Buffers()
    height, width, channels = gradient.shape
    db, result = b.fresh(channels, np.float32)
    kernels._call("tb_float_bias_grad", b.read(gradient), db, height * width, channels)
    b.check()
    return result


def average_pool(kernels: Kernels, x: np.ndarray, factor: float) -> np.ndarray:
    b = Buffers()
    height, width, channels = x.shape
    y, result = b.fresh(channels, np.float32)
    kernels._call("tb_float_average_pool", b.read(x), y, height * width, channels, ctypes.c_float(factor))
    b.check()
    return result


def average_pool_grad(
    kernels: Kernels, gradient: np.ndarray, height: int, width: int, factor: float
) -> np.ndarray:
    b = Buffers()
    dx, result = b.fresh((height, width, gradient.size), np.float32)
    operands = (b.read(gradient), dx, height * width, gradient.size, ctypes.c_float(factor))
    kernels._call("tb_float_average_pool_grad", *operands)
    b.check()
    return result


def add(kernels: Kernels, first: np.ndarray, second: np.ndarray, where: str) -> np.ndarray:
    """`where`: "separate", "a" or "b": what y is."""
    b = Buffers()
    places = {"a": b.write(first), "b": b.write(second), "separate": b.fresh(first.shape, np.float32)}
    y, result = places[where]
    kernels._call("tb_float_add", places["a"][0], places["b"][0], y, first.size)
    b.check()
    return result


def masked(kernels: Kernels, gradient: np.ndarray, mask: np.ndarray, *, in_place: bool) -> np.ndarray:
    b = Buffers()
    source, over = b.write(gradient)
    y, result = (source, over) if in_place else b.fresh(gradient.shape, np.float32)
    kernels._call("tb_float_masked", source, b.read(pack_mask(mask)), y, gradient.size)
    b.check()
    return result


def select_channels(kernels: Kernels, x: np.ndarray, channels: np.ndarray, count: int) -> np.ndarray:
    b = Buffers()
    height, width, total = x.shape
    y, result = b.fresh((height, width, count), np.float32)
    kernels._call("tb_float_select_channels", b.read(x), b.read(channels), y, height * width, total, count)
    b.check()
    return result


def update(
    kernels: Kernels,
    gradient: np.ndarray,
    factor: float,
    values: np.ndarray,
    accumulator: np.ndarray | None,
    step: Step,
) -> tuple[np.ndarray, np.ndarray | None]:
    """By stochastic gradient descent: (values, accumulator) after it."""
    b = Buffers()
    stored, result = b.write(values)
    kept = None if accumulator is None else b.write(accumulator)
    structure, s = CUpdate(), kernels._step(step)
    structure.accumulator = None if kept is None else kept[0]
    kernels._call(
        "tb_float_update",
        b.write(gradient)[0],
        ctypes.c_float(factor),
        stored,
        ctypes.byref(structure),
        ctypes.byref(s),
        values.size,
    )
    b.check()
    return result, None if kept is None else kept[1]
