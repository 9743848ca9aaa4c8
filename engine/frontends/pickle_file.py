"""Unpickles the network files of mit-han-lab/tiny-training ("On-Device Training Under 256KB Memory").

A pickle is a program, so the stock unpickler is not trusted with one. The opcodes are held against a short
list before anything runs, and the names the pickle may call are stand-ins of ours that only take notes:
neither NumPy's own reconstruction nor anything else of a library is reachable from the file.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable

import numpy as np

from engine.errors import NetworkFileError

MAXIMUM_OPCODES = 40_000  # the largest of the released networks has 8 456
MAXIMUM_ENCODED_BYTES = 128 * 1024 * 1024
_OPCODES = frozenset(
    (
        *("PROTO", "STOP", "MARK", "GLOBAL", "REDUCE", "BUILD"),
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    )
)
_DTYPES: dict[str, np.dtype[np.generic]] = {
    "i1": np.dtype("<i1"),
    "i4": np.dtype("<i4"),
    "f4": np.dtype("<f4"),
}
_FAULTS = (
    pickle.UnpicklingError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    RecursionError,
    MemoryError,
)


def unpickle(content: bytes) -> object:
    """Return what `content` describes: dicts, lists, tuples, numbers, strings and numeric arrays."""
    try:
        _check_opcodes(content)
        return _Unpickler(content).load()
    except _FAULTS as error:
        raise NetworkFileError(f"its pickle is broken: {error}") from error


def _check_opcodes(content: bytes) -> None:
    """Refuse what the stock unpickler would run beyond our needs, or allocate beyond the file's size."""
    memory_slots = 0
    for count, (opcode, argument, position) in enumerate(pickletools.genops(content)):
        if opcode.name not in _OPCODES:
            raise NetworkFileError(
                f"its pickle uses opcode {opcode.name} at byte {position}, which is not allowed"
            )
        if count >= MAXIMUM_OPCODES:
            raise NetworkFileError(f"its pickle has more than {MAXIMUM_OPCODES} opcodes")
        if opcode.name in ("BINPUT", "LONG_BINPUT"):
            # The unpickler allocates as many slots as the index says; honest writers number them in a row.
            if not isinstance(argument, int) or argument > memory_slots:
                raise NetworkFileError(f"its pickle skips memory slots at byte {position}")
            memory_slots = max(memory_slots, argument + 1)


class _Unpickler(pickle.Unpickler):
    """`pickle.Unpickler` with five names, all of them ours."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self._names: dict[tuple[str, str], object] = {
            ("numpy.core.multiarray", "_reconstruct"): _Callable(_empty_array),
            ("numpy._core.multiarray", "_reconstruct"): _Callable(_empty_array),
            ("numpy", "ndarray"): _ARRAY_TYPE,
            ("numpy", "dtype"): _Callable(_Dtype),
            ("_codecs", "encode"): _Callable(_Encoder()),
        }

    def find_class(self, module: str, name: str) -> object:
        """Return our stand-in for `module.name`; every other name is refused."""
        try:
            return self._names[module, name]
        except KeyError:
            raise NetworkFileError(
                f"its pickle asks for {f'{module}.{name}'[:100]!r}, which a network file has no use for; "
                f"it may be hostile and was not run"
            ) from None


class _Callable:
    """What a GLOBAL gives. It has no attributes that a BUILD could set."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("it changes a name it imported")


_ARRAY_TYPE = _Callable(lambda *_: None)


class _Encoder:
    """`_codecs.encode(text, "latin1")`, how protocol 2 writes bytes. All results together stay limited."""

    def __init__(self) -> None:
        self._left = MAXIMUM_ENCODED_BYTES

    def __call__(self, text: object, encoding: object) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise pickle.UnpicklingError(f"it encodes a {type(text).__name__} other than text as latin1")
        self._left -= len(text)
        if self._left < 0:
            raise pickle.UnpicklingError(f"it unpacks to more than {MAXIMUM_ENCODED_BYTES} bytes")
        return text.encode("latin1")


class _Dtype:
    """Notes of `numpy.dtype(code, align, copy)` and its state, whose second entry is the byte order."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: object, *_: object) -> None:
        self._code = code
        self._order: object = None

    def __setstate__(self, state: object) -> None:
        self._order = state[1] if isinstance(state, tuple) and len(state) > 1 else None

    def resolve(self) -> np.dtype[np.generic]:
        if not isinstance(self._code, str) or self._code not in _DTYPES or self._order not in ("<", "|"):
            raise NetworkFileError(
                "its pickle holds an array that is not little-endian int8, int32 or float32"
            )
        return _DTYPES[self._code]


class PickledArray:
    """Notes of a `numpy.ndarray` and its state; `resolve` makes the array."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state: object = None

    def __setstate__(self, state: object) -> None:
        self._state = state

    def resolve(self) -> np.ndarray:
        """Return the array, read-only, or raise NetworkFileError where shape, dtype and bytes disagree."""
        if not isinstance(self._state, tuple) or len(self._state) != 5:
            raise NetworkFileError("its pickle holds an array without content")
        _, shape, dtype, fortran, content = self._state
        if not isinstance(dtype, _Dtype):
            raise NetworkFileError("its pickle holds an array without a dtype")
        resolved = dtype.resolve()
        if not isinstance(content, bytes) or fortran is not False:
            raise NetworkFileError("its pickle holds an array that is not plain bytes in C order")
        return _shaped(content, resolved, shape)


def _empty_array(kind: object, *_: object) -> PickledArray:
    if kind is not _ARRAY_TYPE:
        raise pickle.UnpicklingError("it reconstructs something other than an array")
    return PickledArray()


def _shaped(content: bytes, dtype: np.dtype[np.generic], shape: object) -> np.ndarray:
    if (
        not isinstance(shape, tuple)
        or len(shape) > 4
        or not all(type(n) is int and 0 < n < 2**31 for n in shape)
    ):
        raise NetworkFileError("its pickle holds an array whose shape is not up to four positive numbers")
    count = 1
    for length in shape:
        count *= length
    if count * dtype.itemsize != len(content):
        raise NetworkFileError(
            f"its pickle holds an array of shape {shape} and {dtype} with {len(content)} bytes"
        )
    return np.frombuffer(content, dtype=dtype).reshape(shape)
