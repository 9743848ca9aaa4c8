"""Trainer folders as shared libraries of the host, driven through ctypes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.codegen.folder import RUNTIME
from harness.firmware.compiler_cache import compiler_prefix

FLAGS = ("-std=c99", "-ffp-contract=off", "-fno-fast-math", "-fno-strict-aliasing")
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror")


class _Span(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("bytes", ctypes.c_uint32))


class CTrainer:
    """The trainer ABI of a shared library."""

    def __init__(self, library: Path, image_bytes: int, classes: int) -> None:
        self._c = ctypes.CDLL(str(library))
        self._c.trainer_input.restype = ctypes.c_void_p
        self._c.trainer_logits.restype = ctypes.POINTER(ctypes.c_float)
        self._c.trainer_predict.restype = ctypes.POINTER(ctypes.c_float)
        self._c.trainer_train_step.restype = ctypes.c_float
        self._c.trainer_state_span.restype = _Span
        self._c.trainer_arena_span.restype = _Span
        self._c.trainer_set_learning_rate.argtypes = [ctypes.c_float]
        self._image_bytes, self._classes = image_bytes, classes

    def reset(self, seed: int, learning_rate: float) -> None:
        self._c.trainer_reset(ctypes.c_uint32(seed))
        self._c.trainer_set_learning_rate(learning_rate)

    def train_step(self, image: NDArray[np.int8], label: int) -> float:
        self._place(image)
        return float(self._c.trainer_train_step(ctypes.c_uint32(label)))

    def predict(self, image: NDArray[np.int8]) -> NDArray[np.float32]:
        self._place(image)
        self._c.trainer_predict()
        return self.logits()

    def logits(self) -> NDArray[np.float32]:
        return np.array(self._c.trainer_logits()[: self._classes], np.float32)

    def state(self) -> dict[str, bytes]:
        """Span name → bytes, in the trainer's order."""
        spans = [self._c.trainer_state_span(index) for index in range(self._c.trainer_state_count())]
        return {span.name.decode(): ctypes.string_at(span.data, span.bytes) for span in spans}

    def fill_arena(self, byte: int) -> None:
        """What the arena holds before a step must not matter."""
        span = self._c.trainer_arena_span()
        ctypes.memset(span.data, byte, span.bytes)

    def _place(self, image: NDArray[np.int8]) -> None:
        data = np.ascontiguousarray(image)
        assert data.nbytes == self._image_bytes
        ctypes.memmove(self._c.trainer_input(), data.ctypes.data, data.nbytes)


class KernelObjects:
    """The kernels compiled once for each compiler command, so that a test builds only what is generated."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, ...], list[Path]] = {}

    def link(self, command: Sequence[str], trainer: Path, library: Path) -> Path:
        """Compile the generated sources in `trainer` and link a shared library."""
        if shutil.which(command[0]) is None:
            pytest.skip(f"{command[0]} is not installed")
        generated = [trainer / name for name in ("trainer.c", "constants.c")]
        flags = [*FLAGS, "-fPIC", "-shared", "-I", str(trainer), "-o", str(library)]
        run([*command, *flags, *map(str, generated), *map(str, self._objects(command))])
        return library

    def _objects(self, command: Sequence[str]) -> list[Path]:
        key = tuple(command)
        if key not in self._made:
            folder = self._folder / str(len(self._made))
            folder.mkdir()
            self._made[key] = []
            for source in sorted(RUNTIME.glob("*.c")):
                made = folder / f"{source.stem}.o"
                run(
                    [*compiler_prefix(), *command, *FLAGS, "-fPIC", "-c", str(source), "-o", str(made)],
                    folder,
                )
                self._made[key].append(made)
        return self._made[key]


def run(command: Sequence[str], folder: Path | None = None, stdin: bytes = b"") -> bytes:
    """Standard output of a command that has to succeed and say nothing on standard error."""
    done = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stderr == b""
    return done.stdout
