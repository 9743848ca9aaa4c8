"""constants.h and constants.c: everything that stays in flash, in the layout the kernels read."""

from __future__ import annotations

import numpy as np

from engine.codegen.c_text import C_TYPES, float_literal, identifier
from engine.graph import Array, DType, Module, Role, Tensor

_PER_LINE = {
    DType.INT8: 32,
    DType.UINT8: 32,
    DType.INT16: 20,
    DType.UINT16: 20,
    DType.INT32: 12,
    DType.FLOAT32: 8,
}


def initial_name(tensor: Tensor) -> str:
    return f"initial_{identifier(tensor.name)}"


def fill_value(data: Array) -> int | None:
    """The byte that the whole array consists of, so that flash needs no copy of it; None if there is none."""
    raw = np.frombuffer(data.tobytes(), np.uint8)
    return int(raw[0]) if raw.size and bool(np.all(raw == raw[0])) else None


def flash_tensors(module: Module) -> list[tuple[str, Tensor]]:
    """(C name, tensor) of all constants and of the initial values of state, in network order."""
    found = []
    for tensor in module.graph.with_role(Role.CONSTANT, Role.STATE):
        if tensor.role is Role.CONSTANT:
            found.append((identifier(tensor.name), tensor))
        elif fill_value(module.data[tensor.name]) is None:
            found.append((initial_name(tensor), tensor))
    return found


def constants_header(module: Module) -> str:
    lines = [
        "/* Weights, biases, multipliers and scales of the network: flash. Generated. */",
        "#ifndef CONSTANTS_H",
        "#define CONSTANTS_H",
        "",
        "#include <stdint.h>",
        "",
    ]
    for symbol, tensor in flash_tensors(module):
        lines.append(
            f"extern const {C_TYPES[tensor.dtype]} {symbol}[{tensor.elements}]; /* {_shape(tensor)} */"
        )
    return "\n".join([*lines, "", "#endif", ""])


def constants_source(module: Module) -> str:
    parts = ['/* Generated; see trainer.c for what uses them. */\n#include "constants.h"\n']
    for symbol, tensor in flash_tensors(module):
        values = _values(tensor, module.data[tensor.name])
        parts.append(f"const {C_TYPES[tensor.dtype]} {symbol}[{tensor.elements}] = {{\n{values}}};\n")
    return "\n".join(parts)


def _shape(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.dtype}[{', '.join(map(str, tensor.shape))}]"


def _values(tensor: Tensor, data: Array) -> str:
    flat = data.reshape(-1).tolist()
    literal = float_literal if tensor.dtype is DType.FLOAT32 else str
    texts = [literal(value) for value in flat]
    width = _PER_LINE[tensor.dtype]
    return "".join(f"    {', '.join(texts[i : i + width])},\n" for i in range(0, len(texts), width))
