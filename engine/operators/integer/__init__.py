"""Operators of int16 gradients: `<kind>_i16` beside the float32 kinds, whose checks they share."""

from engine.operators.integer import bias_update, convolution_grad, elementwise, pool

__all__ = ["bias_update", "convolution_grad", "elementwise", "pool"]
