"""What the kernels take: data classes for the tests, their C structures, and guarded buffers."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.operators.reference import ConvGeometry, Rounding

GUARD = 64
GUARD_BYTE = 0xA5


@dataclass(frozen=True)
class Quantization:
    """What a convolution needs beside shapes, weights and biases. multiplier int32 [OC]."""

    in_zero: int
    out_zero: int
    multiplier: np.ndarray
    shift: int


@dataclass(frozen=True)
class Weights:
    """Weights as they are stored: one part or two, each in stored order; channels: trainable ones first."""

    frozen: np.ndarray | None
    trainable: np.ndarray | None
    channels: np.ndarray | None

    @property
    def trainable_count(self) -> int:
        if self.trainable is None:
            return 0
        return 0xFFFF if self.channels is None else self.trainable.shape[self._axis]

    @property
    def _axis(self) -> int:
        assert self.trainable is not None
        return 3 if self.trainable.ndim == 4 else 0


def split_weights(weights: np.ndarray, trainable: Sequence[int] | None) -> Weights:
    """Store weights [OC, KH, KW, IC] or [C, KH, KW] with these channels trainable; None: all are frozen."""
    axis = 3 if weights.ndim == 4 else 0
    everything = range(weights.shape[axis])
    if trainable is None:
        return Weights(weights.copy(), None, None)
    if len(trainable) == len(everything):
        return Weights(None, weights.copy(), None)
    rest = [c for c in everything if c not in set(trainable)]
    channels = np.array([*trainable, *rest], np.uint16)
    frozen, part = (np.ascontiguousarray(np.take(weights, c, axis=axis)) for c in (rest, list(trainable)))
    return Weights(frozen, part, channels)


@dataclass(frozen=True)
class Step:
    learning_rate: float = 0.01
    step_key: int = 0
    apply: bool = True
    accumulate: bool = False
    mean: float = 1.0


@dataclass(frozen=True)
class Update:
    """scale float32 [OC]; low uint8 and accumulator float32 in stored order, or None."""

    scale: np.ndarray
    stream: int = 0
    rounding: Rounding = Rounding.NEAREST
    low: np.ndarray | None = None
    accumulator: np.ndarray | None = None


class CConv(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint16) for name in ConvGeometry.__dataclass_fields__),
        ("pad_top", ctypes.c_uint16),
        ("in_zero", ctypes.c_int32),
        ("out_zero", ctypes.c_int32),
        ("shift", ctypes.c_uint8),
        ("multiplier", ctypes.c_void_p),
    )


class CWeights(ctypes.Structure):
    _fields_ = (
        ("frozen", ctypes.c_void_p),
        ("trainable", ctypes.c_void_p),
        ("channels", ctypes.c_void_p),
        ("trainable_count", ctypes.c_uint16),
    )


class CAdd(ctypes.Structure):
    _fields_ = (
        ("multiplier_a", ctypes.c_int32),
        ("multiplier_b", ctypes.c_int32),
        ("offset", ctypes.c_int32),
        ("shift", ctypes.c_uint8),
    )


class CStep(ctypes.Structure):
    _fields_ = (
        ("learning_rate", ctypes.c_float),
        ("step_key", ctypes.c_uint32),
        ("apply", ctypes.c_uint8),
        ("accumulate", ctypes.c_uint8),
        ("mean", ctypes.c_float),
        ("rate", ctypes.c_float),
        ("whole", ctypes.c_uint8),
        ("correction", ctypes.c_float * 2),
    )


class CUpdate(ctypes.Structure):
    _fields_ = (
        ("scale", ctypes.c_void_p),
        ("stream", ctypes.c_uint32),
        ("rounding", ctypes.c_int),
        ("low", ctypes.c_void_p),
        ("accumulator", ctypes.c_void_p),
        ("first", ctypes.c_uint32),
        ("rule", ctypes.c_void_p),
    )


class Buffers:
    """The buffers of one call. Guards are checked at the end, and that inputs were not written."""

    def __init__(self) -> None:
        self._all: list[tuple[np.ndarray, int, bytes | None]] = []

    def _place(self, data: np.ndarray, *, constant: bool) -> tuple[ctypes.c_void_p, np.ndarray]:
        size = data.nbytes
        raw = np.full(size + 2 * GUARD, GUARD_BYTE, np.uint8)
        raw[GUARD : GUARD + size] = np.frombuffer(data.tobytes(), np.uint8)
        self._all.append((raw, size, data.tobytes() if constant else None))
        view = raw[GUARD : GUARD + size].view(data.dtype).reshape(data.shape)
        return ctypes.c_void_p(raw.ctypes.data + GUARD), view

    def read(self, data: np.ndarray | None) -> ctypes.c_void_p | None:
        return None if data is None else self._place(data, constant=True)[0]

    def write(self, data: np.ndarray) -> tuple[ctypes.c_void_p, np.ndarray]:
        return self._place(data, constant=False)

    def fresh(self, shape: int | tuple[int, ...], dtype: type) -> tuple[ctypes.c_void_p, np.ndarray]:
        """A buffer for outputs, filled with rubbish: kernels must not rely on zeros."""
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        rubbish = (np.arange(count) * 37 + 11).astype(np.uint8)
        return self.write(rubbish.view(dtype).reshape(shape))

    def check(self) -> None:
        for raw, size, constant in self._all:
            assert (raw[:GUARD] == GUARD_BYTE).all(), "a kernel wrote before a buffer"
            assert (raw[GUARD + size :] == GUARD_BYTE).all(), "a kernel wrote behind a buffer"
            if constant is not None:
                assert raw[GUARD : GUARD + size].tobytes() == constant, "a kernel wrote to an input"
