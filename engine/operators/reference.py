"""The naive twin of every forward and backward kernel: the bits of the C, written after docs/numerics.md.

Activations and gradients are HWC arrays (batch 1): int8 or float32 [height, width, channels]. Weights are
int8 [OC, KH, KW, IC], depthwise [C, KH, KW], all channels in the network's order. Masks are bool arrays of
the activation's shape. Loops run over dimensions whose order of summation is fixed, NumPy over the others.
"""

import numpy as np

from engine.operators.elementary import exp, log
from engine.operators.fixed_point import (
    AddParameters,
    Bool,
    Float32,
    Int8,
    Int32,
    Int64,
    add_parameters,
    bias_limit,
    clamp_to_int8,
    multiplier_and_shift,
    pack_mask,
    requantize,
    unpack_mask,
)
from engine.operators.geometry import ConvGeometry, patches, taps
from engine.operators.updates import (
    Rounding,
    apply_bias,
    apply_int8,
    descent,
    fully_connected_update,
    fully_connected_update_accumulated,
    mean_gradient,
    mix,
    move_bias,
    move_float,
    move_int8,
    step_key,
    uniform,
)

__all__ = [
    "AddParameters",
    "ConvGeometry",
    "Rounding",
    "accumulate",
    "add",
    "add_grad",
    "add_parameters",
    "apply_bias",
    "apply_int8",
    "bias_gradient",
    "bias_limit",
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_weight",
    "depthwise_conv2d",
    "depthwise_conv2d_grad_input",
    "depthwise_conv2d_grad_weight",
    "dequantize",
    "dequantize_grad",
    "descent",
    "exp",
    "fully_connected",
    "fully_connected_grad_input",
    "fully_connected_grad_weight",
    "fully_connected_update",
    "fully_connected_update_accumulated",
    "global_average_pool",
    "global_average_pool_grad",
    "log",
    "masked_scale",
    "mean_gradient",
    "mix",
    "move_bias",
    "move_float",
    "move_int8",
    "multiplier_and_shift",
    "pack_mask",
    "requantize",
    "softmax_cross_entropy",
    "step_key",
    "uniform",
    "unpack_mask",
]

LIMIT = np.float32(2.0**60)


# Forward


def conv2d(
    x: Int8,
    weights: Int8,
    bias: Int32,
    geometry: ConvGeometry,
    in_zero: int,
    multiplier: Int32,
    shift: int,
    out_zero: int,
) -> tuple[Int8, Bool]:
    """Quantized convolution: weights [OC, KH, KW, IC], bias and multiplier [OC] → (y, mask) [OH, OW, OC]."""
    centered = x.astype(np.int64) - in_zero
    accumulator: Int64 = np.broadcast_to(
        bias.astype(np.int64), (geometry.out_height, geometry.out_width, geometry.out_channels)
    ).copy()
    for tap in taps(geometry):
        accumulator[tap.output] += centered[tap.input] @ weights[:, tap.ky, tap.kx, :].T.astype(np.int64)
    return requantize(accumulator, multiplier, shift, out_zero)


def depthwise_conv2d(
    x: Int8,
    weights: Int8,
    bias: Int32,
    geometry: ConvGeometry,
    in_zero: int,
    multiplier: Int32,
    shift: int,
    out_zero: int,
) -> tuple[Int8, Bool]:
    """Depthwise `conv2d`: weights [C, KH, KW], bias and multiplier [C] → (y, mask) [OH, OW, C]."""
    centered = x.astype(np.int64) - in_zero
    accumulator: Int64 = np.broadcast_to(
        bias.astype(np.int64), (geometry.out_height, geometry.out_width, geometry.out_channels)
    ).copy()
    for tap in taps(geometry):
        accumulator[tap.output] += centered[tap.input] * weights[:, tap.ky, tap.kx].astype(np.int64)
    return requantize(accumulator, multiplier, shift, out_zero)


def add(a: Int8, b: Int8, parameters: AddParameters) -> tuple[Int8, Bool]:
    """Quantized addition of two tensors of one shape. Returns (y, mask)."""
    p = parameters
    total = a.astype(np.int64) * p.multiplier_a + b.astype(np.int64) * p.multiplier_b + p.offset
    return clamp_to_int8(total >> p.shift)


def global_average_pool(x: Int8, in_zero: int, multiplier: int, shift: int, out_zero: int) -> Int8:
    """Mean over height and width: int8 [H, W, C] → [C]. multiplier and shift come from s = sx / (H·W·sy)."""
    height, width, _ = x.shape
    accumulator = x.astype(np.int64).sum(axis=(0, 1)) - height * width * in_zero
    return requantize(accumulator, multiplier, shift, out_zero)[0]


def dequantize(x: Int8, zero: int, scale: np.float32) -> Float32:
    """Real values of int8 x: (x − zero)·scale."""
    return (x.astype(np.int32) - zero).astype(np.float32) * np.float32(scale)


def fully_connected(features: Float32, weights: Float32, bias: Float32) -> Float32:
    """Logits [K] = bias [K] + weights [K, C] · features [C], summed in the order of c."""
    logits = bias.copy()
    for c in range(features.shape[0]):
        logits = logits + weights[:, c] * features[c]
    return logits


def softmax_cross_entropy(logits: Float32, label: int) -> tuple[np.float32, Float32]:
    """Loss of float32 logits [K] and its gradient with respect to them, [K]."""
    shifted = logits - logits.max()
    e = exp(shifted)
    total = np.zeros(1, np.float32)
    for k in range(logits.shape[0]):
        total = total + e[k]
    one_hot = (np.arange(logits.shape[0]) == label).astype(np.float32)
    loss: np.float32 = log(total)[0] - shifted[label]
    return loss, e / total - one_hot


# Backward: gradients of the stored values, float32


def masked_scale(gradient: Float32, mask: Bool, scale: Float32) -> Float32:
    """Gradient of a convolution's accumulator from that of its output: both and mask [H, W, C]; scale [C]."""
    return np.where(mask, np.clip(gradient * scale, -LIMIT, LIMIT), np.float32(0.0))


def conv2d_grad_input(gradient: Float32, weights: Int8, geometry: ConvGeometry) -> Float32:
    """dL/dx [IH, IW, IC] from the gradient [OH, OW, OC] of the accumulator; weights [OC, KH, KW, IC]."""
    g = geometry
    dx = np.zeros((g.in_height, g.in_width, g.in_channels), np.float32)
    w = weights.astype(np.float32)
    positions = list(taps(g))
    for oc in range(g.out_channels):
        for tap in positions:
            dx[tap.input] += gradient[(*tap.output, slice(oc, oc + 1))] * w[oc, tap.ky, tap.kx]
    return dx


def depthwise_conv2d_grad_input(gradient: Float32, weights: Int8, geometry: ConvGeometry) -> Float32:
    """dL/dx [IH, IW, C] from the gradient [OH, OW, C] of the accumulator; weights [C, KH, KW]."""
    g = geometry
    dx = np.zeros((g.in_height, g.in_width, g.in_channels), np.float32)
    for tap in taps(g):
        dx[tap.input] += gradient[tap.output] * weights[:, tap.ky, tap.kx].astype(np.float32)
    return dx


def conv2d_grad_weight(gradient: Float32, x: Int8, in_zero: int, geometry: ConvGeometry) -> Float32:
    """dL/dw [OC, KH, KW, IC] from the gradient [OH, OW, OC] of the accumulator.

    `x` may hold a choice of the input channels: [IH, IW, n] gives [OC, KH, KW, n].
    """
    dw = np.zeros(
        (geometry.out_channels, geometry.kernel_height, geometry.kernel_width, x.shape[2]), np.float32
    )
    for oy, ox, patch in patches(x, in_zero, geometry):
        dw += gradient[oy, ox][:, None, None, None] * patch
    return dw


def depthwise_conv2d_grad_weight(gradient: Float32, x: Int8, in_zero: int, geometry: ConvGeometry) -> Float32:
    """dL/dw [C, KH, KW] from the gradient [OH, OW, C] of the accumulator.

    `gradient` and `x` may hold a choice of the channels: [.., .., n] each gives [n, KH, KW].
    """
    dw = np.zeros((geometry.kernel_height, geometry.kernel_width, x.shape[2]), np.float32)
    for oy, ox, patch in patches(x, in_zero, geometry):
        dw += gradient[oy, ox] * patch
    return np.ascontiguousarray(dw.transpose(2, 0, 1))


def bias_gradient(gradient: Float32) -> Float32:
    """dL/db [C] from the gradient [H, W, C] of the accumulator, pixels in row-major order."""
    db = np.zeros(gradient.shape[2], np.float32)
    for pixel in gradient.reshape(-1, gradient.shape[2]):
        db += pixel
    return db


def global_average_pool_grad(gradient: Float32, height: int, width: int, factor: np.float32) -> Float32:
    """dL/dx [H, W, C] from dL/dy [C]; factor = float32(sx / (H·W·sy))."""
    row = gradient * np.float32(factor)
    return np.broadcast_to(row, (height, width, row.shape[0])).copy()


def dequantize_grad(gradient: Float32, scale: np.float32) -> Float32:
    """dL/dx of the stored int8 x from the gradient of its real value."""
    return gradient * np.float32(scale)


def add_grad(
    gradient: Float32, mask: Bool, factor_a: np.float32, factor_b: np.float32
) -> tuple[Float32, Float32]:
    """Gradients of both inputs of `add`; factor = float32(scale of the input / scale of the output)."""
    zero = np.float32(0.0)
    a = np.where(mask, np.clip(gradient * np.float32(factor_a), -LIMIT, LIMIT), zero)
    b = np.where(mask, np.clip(gradient * np.float32(factor_b), -LIMIT, LIMIT), zero)
    return a, b


def accumulate(a: Float32, b: Float32) -> Float32:
    """Sum of two gradients of one tensor; also what a gradient accumulator does with an image's gradient."""
    return a + b


def fully_connected_grad_input(dz: Float32, weights: Float32) -> Float32:
    """dL/dfeatures [C] from dL/dlogits [K]; weights [K, C], summed in the order of k."""
    df = np.zeros(weights.shape[1], np.float32)
    for k in range(dz.shape[0]):
        df = df + dz[k] * weights[k]
    return df


def fully_connected_grad_weight(dz: Float32, features: Float32) -> Float32:
    """dL/dw [K, C] of the classifier: used where gradients are accumulated over images."""
    return dz[:, None] * features[None, :]
