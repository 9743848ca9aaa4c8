"""One module per operator family; importing the package registers all kinds in `kind.KINDS`."""

from engine.operators import (
    classifier,
    convolution,
    convolution_grad,
    elementwise,
    floating,
    gradient_scale,
    integer,
    pool,
    select,
)
from engine.operators.kind import KINDS, OperatorKind, StepContext, kind_of

__all__ = [
    "KINDS",
    "OperatorKind",
    "StepContext",
    "classifier",
    "convolution",
    "convolution_grad",
    "elementwise",
    "floating",
    "gradient_scale",
    "integer",
    "kind_of",
    "pool",
    "select",
]
