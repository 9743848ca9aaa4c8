"""The int16 gradient kernels of depthwise convolutions as Python functions over NumPy arrays."""

import ctypes

import numpy as np
from kernel_bindings import Kernels
from kernel_data import Buffers, CWeights, Step, Update, Weights

from engine.operators.geometry import ConvGeometry
from engine.operators.scratch import depthwise_grad_scratch, depthwise_update_scratch


def depthwise_grad_input(
    kernels: Kernels,
    gradient: np.ndarray,
    exponent: int,
    weights: Weights,
    g: ConvGeometry,
    in_place: bool = False,
) -> tuple[np.ndarray, int]:
    b = Buffers()
    if in_place:
        dx, result = source, _ = b.write(gradient)
    else:
        dx, result = b.fresh((g.in_height, g.in_width, g.in_channels), np.int16)
        source = b.read(gradient)
    w = kernels._weights(b, weights, g)
    scratch = kernels._scratch(b, depthwise_grad_scratch(g))
    operands = [source, ctypes.c_int32(exponent), ctypes.byref(w), dx, scratch]
    conv = kernels._conv(b, g, None)
    raised = kernels._call("tb_depthwise_conv2d_grad_input_i16", ctypes.byref(conv), *operands)
    b.check()
    return result, int(raised)


def depthwise_update(
    kernels: Kernels,
    gradient: np.ndarray,
    exponent: int,
    x: np.ndarray,
    weights: Weights,
    g: ConvGeometry,
    in_zero: int,
    update: Update,
    step: Step,
) -> tuple[np.ndarray, Update]:
    """Returns the trainable weights after the update, and `low` and `accumulator` after it."""
    assert weights.trainable is not None
    b = Buffers()
    conv = kernels._conv(b, g, None)
    conv.in_zero = in_zero
    trainable, result = b.write(weights.trainable)
    count = min(weights.trainable_count, g.in_channels)
    w = CWeights(b.read(weights.frozen), trainable, b.read(weights.channels), count)
    structure, after = kernels._update(b, update)
    s = kernels._step(step)
    scratch = kernels._scratch(b, depthwise_update_scratch(g))
    operands = [b.read(gradient), ctypes.c_int32(exponent), b.read(x), ctypes.byref(w)]
    operands += [ctypes.byref(structure), ctypes.byref(s), scratch]
    kernels._call("tb_depthwise_conv2d_update_i16", ctypes.byref(conv), *operands)
    b.check()
    return result, after
