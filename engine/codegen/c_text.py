"""C from Python values: identifiers, literals, and text that is inert in comments and strings."""

from __future__ import annotations

import math
import re

import numpy as np

from engine.errors import CodegenError
from engine.graph import DType

C_TYPES = {
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.INT16: "int16_t",
    DType.UINT16: "uint16_t",
    DType.INT32: "int32_t",
    DType.FLOAT32: "float",
    DType.BIT: "uint8_t",
}


def identifier(name: str) -> str:
    """A C identifier from a tensor or layer name: block01.pointwise1.weight → block01_pointwise1_weight."""
    text = re.sub(r"\W", "_", name, flags=re.ASCII)
    return text if not text[:1].isdigit() else f"n{text}"


def float_literal(value: float) -> str:
    """A C float constant that reads back as exactly float32(value); CodegenError unless it is finite."""
    with np.errstate(over="ignore"):
        single = float(np.float32(value))
    if not math.isfinite(single):
        raise CodegenError(f"a constant of {value} cannot be written as a float literal")
    text = f"{single:.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"


def comment(text: str) -> str:
    """Printable ASCII on one line that neither ends nor opens a comment and holds no trigraph."""
    plain = re.sub(r"[^ -~]", "?", re.sub(r"\s", " ", text))
    for pair in ("*/", "/*", "??"):
        while pair in plain:
            plain = plain.replace(pair, f"{pair[0]} {pair[1]}")
    return plain.replace("\\", "/") if plain.endswith("\\") else plain


def string_literal(text: str) -> str:
    """A C string literal of the text's UTF-8 bytes; all but plain printable ASCII is escaped."""
    parts = []
    for byte in text.encode():
        plain = 32 <= byte < 127 and byte not in b'"\\?'
        parts.append(chr(byte) if plain else f"\\{byte:03o}")
    return '"' + "".join(parts) + '"'
