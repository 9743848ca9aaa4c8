"""The int16 gradient kernels of depthwise convolutions as Python functions over NumPy arrays."""

import ctypes

import numpy as np
from convolution_bindings_i16 import weight_update
from kernel_bindings import Kernels
from kernel_data import Buffers, Step, Update, Weights

from engine.operators import kernel_choice
from engine.operators.geometry import ConvGeometry
from engine.operators.scratch import depthwise_grad_scratch, depthwise_update_scratch


def depthwise_grad_input(
    kernels: Kernels,
    gradient: np.ndarray,
    exponent: int,
    weights: Weights,
    g: ConvGeometry,
    in_place: bool = False,
    function: str | None = None,
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
    kernel = kernels.address(function or kernel_choice.depthwise_grad_input(g).function)
    raised = kernels._call("tb_depthwise_conv2d_grad_input_i16", kernel, ctypes.byref(conv), *operands)
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
    name, scratch = kernel_choice.depthwise_update(g).function, depthwise_update_scratch(g)
    return weight_update(name, scratch, kernels, gradient, exponent, x, weights, g, in_zero, update, step)
