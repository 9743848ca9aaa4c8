"""Operators of float32 networks; importing the package registers their kinds."""

from engine.operators.floating import convolution, convolution_grad, elementwise, update

__all__ = ["convolution", "convolution_grad", "elementwise", "update"]
