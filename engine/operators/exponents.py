"""Exponents of int16 gradients as operands: scalars that go with a gradient wherever it goes."""

from __future__ import annotations

import math

import numpy as np

from engine.graph import Array, DType, Graph, Operator, Role, Tensor
from engine.operators.kind import expect

_ROLE, _NAME = "_exponent", ".exponent"


def exponent_role(role: str) -> str:
    return f"{role}{_ROLE}"


def is_exponent_role(role: str) -> bool:
    return role.endswith(_ROLE)


def exponent_name(gradient: str) -> str:
    """The scalar that holds the exponent of an int16 gradient."""
    return f"{gradient}{_NAME}"


def exponent_value(exponent: int) -> Array:
    """As the interpreter holds it. In real semantics gradients are themselves and exponents are 0."""
    return np.asarray(exponent, np.int32)


def check_exponents(op: Operator, graph: Graph) -> None:
    """Every int16 operand comes with its own exponent, an i32 scalar."""
    operands = dict((*op.inputs, *op.outputs))
    for role, name in operands.items():
        if is_exponent_role(role):
            exponent = graph.tensor(name)
            fits = exponent.dtype is DType.INT32 and exponent.shape == () and exponent.role is Role.VALUE
            expect(fits, op, f"{role} must be an i32 scalar")
        elif graph.tensor(name).dtype is DType.INT16:
            found, expected = operands.get(exponent_role(role)), exponent_name(name)
            expect(found == expected, op, f"the exponent of {role} should be {expected}, found {found}")


def multiplier_exponent(op: Operator, scale: Tensor) -> int:
    """E of multipliers that stand for multiplier·2^(E − 32): their quantization, a power of two."""
    quantization = scale.quantization
    expect(quantization is not None, op, f"the multipliers {scale.name} must be quantized")
    assert quantization is not None
    mantissa, exponent = math.frexp(quantization.scale)
    expect(
        mantissa == 0.5 and quantization.zero_point == 0,
        op,
        f"the scale of {scale.name} should be a power of two, found {quantization.scale}",
    )
    return exponent - 1 + 32


def exponent_statement(name: str, source: str, by: int) -> str:
    """C: the exponent of a result whose operator only adds a constant to that of its input."""
    change = f" {'-' if by < 0 else '+'} {abs(by)}" if by else ""
    return f"const int32_t {name} = {source}{change};"
