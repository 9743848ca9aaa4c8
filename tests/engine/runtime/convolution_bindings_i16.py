"""The int16 gradient kernels of convolutions and biases as Python functions over NumPy arrays."""

import ctypes

import numpy as np
from kernel_bindings import Kernels
from kernel_data import Buffers, CWeights, Step, Update, Weights

from engine.operators import kernel_choice
from engine.operators.geometry import ConvGeometry
from engine.operators.scratch import bias_update_scratch, conv2d_grad_scratch, conv2d_update_scratch


def conv2d_grad_input(
    kernels: Kernels, gradient: np.ndarray, exponent: int, weights: Weights, g: ConvGeometry
) -> tuple[np.ndarray, int]:
    b = Buffers()
    dx, result = b.fresh((g.in_height, g.in_width, g.in_channels), np.int16)
    w = kernels._weights(b, weights, g)
    scratch = kernels._scratch(b, conv2d_grad_scratch(g, split=weights.channels is not None))
    operands = [b.read(gradient), ctypes.c_int32(exponent), ctypes.byref(w), dx, scratch]
    function = kernel_choice.conv2d_grad_input(g, gradient="i16").function
    raised = kernels._call(function, ctypes.byref(kernels._conv(b, g, None)), *operands)
    b.check()
    return result, int(raised)


def weight_update(
    name: str,
    scratch_bytes: int,
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
    """Returns the trainable weights after the kernel `name`, and `low` and `accumulator` after it."""
    assert weights.trainable is not None
    b = Buffers()
    conv = kernels._conv(b, g, None)
    conv.in_zero = in_zero
    trainable, result = b.write(weights.trainable)
    w = CWeights(
        b.read(weights.frozen),
        trainable,
        b.read(weights.channels),
        min(weights.trainable_count, g.in_channels),
    )
    structure, after = kernels._update(b, update)
    s = kernels._step(step)
    scratch = kernels._scratch(b, scratch_bytes)
    operands = [b.read(gradient), ctypes.c_int32(exponent), b.read(x), ctypes.byref(w)]
    operands += [ctypes.byref(structure), ctypes.byref(s), scratch]
    kernels._call(name, ctypes.byref(conv), *operands)
    b.check()
    return result, after


def conv2d_update(
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
    scratch = conv2d_update_scratch(g, min(weights.trainable_count, g.in_channels))
    function = kernel_choice.conv2d_update(g).function
    return weight_update(function, scratch, kernels, gradient, exponent, x, weights, g, in_zero, update, step)


def bias_update(
    kernels: Kernels,
    gradient: np.ndarray,
    exponent: int,
    bias: np.ndarray,
    update: Update,
    step: Step,
    limit: int,
) -> tuple[np.ndarray, Update]:
    b = Buffers()
    pixels, channels = gradient.shape[0] * gradient.shape[1], gradient.shape[2]
    stored, result = b.write(bias)
    structure, after = kernels._update(b, update)
    s = kernels._step(step)
    scratch = kernels._scratch(b, bias_update_scratch(channels))
    operands = [b.read(gradient), ctypes.c_int32(exponent), stored, ctypes.byref(structure), ctypes.byref(s)]
    kernels._call("tb_bias_update_i16", *operands, pixels, channels, ctypes.c_int32(limit), scratch)
    b.check()
    return result, after
