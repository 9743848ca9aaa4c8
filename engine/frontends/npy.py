"""Parses one `.npy` entry from an untrusted source."""

from __future__ import annotations

import io
import math
import tokenize

import numpy as np
from numpy.lib import format as npy_format

from engine.errors import NetworkFileError

MAXIMUM_DIMENSIONS = 8
_PLAIN_KINDS = "biufU"
_HEADER_FAULTS = (
    ValueError,
    TypeError,
    SyntaxError,
    OverflowError,
    RecursionError,
    MemoryError,
    tokenize.TokenError,  # NumPy tokenizes a header again that does not parse
)


def parse_npy(content: bytes, entry: str) -> np.ndarray:
    """Return the array in `content`, read-only, without allocating more than `content` holds.

    Only plain numbers and strings in C order, format version 1.0. NetworkFileError names `entry`.
    """
    stream = io.BytesIO(content)
    try:
        version = npy_format.read_magic(stream)
        if version != (1, 0):
            raise NetworkFileError(f"entry {entry!r} is a NumPy file of version {version}, not 1.0")
        shape, fortran, dtype = npy_format.read_array_header_1_0(stream)
    except _HEADER_FAULTS as error:
        reason = str(error).partition("\n")[0]
        raise NetworkFileError(f"entry {entry!r} has no valid NumPy header: {reason}") from error
    if dtype.kind not in _PLAIN_KINDS or dtype.itemsize == 0 or dtype.subdtype is not None:
        raise NetworkFileError(f"entry {entry!r} holds {dtype}, which is neither numbers nor text")
    if fortran and len(shape) > 1:
        raise NetworkFileError(f"entry {entry!r} is stored in Fortran order, expected C order")
    left = len(content) - stream.tell()
    if len(shape) > MAXIMUM_DIMENSIONS or not all(type(length) is int and length > 0 for length in shape):
        raise NetworkFileError(f"entry {entry!r} has no shape of up to {MAXIMUM_DIMENSIONS} positive numbers")
    if math.prod(shape) * dtype.itemsize != left:
        raise NetworkFileError(f"entry {entry!r} announces {dtype} {shape}, but {left} bytes follow")
    return np.frombuffer(content, dtype=dtype, offset=stream.tell()).reshape(shape)
