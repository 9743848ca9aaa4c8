"""The C kernels as Python functions over NumPy arrays, every buffer between guard bytes."""

import ctypes
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from kernel_data import Buffers, CAdd, CConv, CStep, CUpdate, CWeights, Quantization, Step, Update, Weights

from engine.operators import kernel_choice
from engine.operators.reference import AddParameters, ConvGeometry, pack_mask, unpack_mask
from engine.operators.scratch import conv2d_scratch, depthwise_scratch
from harness.firmware.compiler_cache import compiler_prefix

RUNTIME = Path(__file__).parents[3] / "engine" / "runtime"
SOURCES = sorted(RUNTIME.glob("tb_*.c"))
FLAGS = ["-std=c99", "-ffp-contract=off", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{RUNTIME}"]
BUILD_SECONDS = 120


def run_tool(command: Sequence[str | Path], seconds: float = BUILD_SECONDS) -> str:
    """Run a build tool or a test program. Raises AssertionError with its output if it fails."""
    done = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))}\nexit {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout


def runs_avx2() -> bool:
    """Whether this machine runs the vector paths (tb_vector.h)."""
    information = Path("/proc/cpuinfo")
    return information.is_file() and " avx2 " in information.read_text(encoding="utf-8")


def build_library(compiler: Sequence[str], library: Path) -> None:
    """With checks: a kernel called for a shape that it does not take ends the process."""
    folder = library.with_suffix(".objects")
    folder.mkdir()
    objects = [folder / f"{source.stem}.o" for source in SOURCES]
    for source, made in zip(SOURCES, objects, strict=True):
        command = [*compiler_prefix(), *compiler, *FLAGS, "-DTB_CHECKS=1", "-fPIC"]
        run_tool([*command, "-c", source, "-o", made])
    run_tool([*compiler, "-shared", *objects, "-o", library])


class Kernels:
    """One build of the kernels."""

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        for name in ("tb_expf", "tb_logf", "tb_softmax_cross_entropy_f32"):
            getattr(self._library, name).restype = ctypes.c_float
        self._library.tb_mix.restype = ctypes.c_uint32
        self._library.tb_expf.argtypes = self._library.tb_logf.argtypes = [ctypes.c_float]

    def _call(self, name: str, *arguments: Any) -> Any:
        typed = [ctypes.c_uint32(a) if isinstance(a, int) else a for a in arguments]
        return getattr(self._library, name)(*typed)

    def address(self, name: str) -> ctypes.c_void_p:
        """Of a kernel, to be passed to another."""
        return ctypes.cast(getattr(self._library, name), ctypes.c_void_p)

    def mix(self, x: int) -> int:
        return int(self._call("tb_mix", x))

    def exp(self, x: np.ndarray) -> np.ndarray:
        return np.array([self._library.tb_expf(float(v)) for v in x], np.float32)

    def log(self, x: np.ndarray) -> np.ndarray:
        return np.array([self._library.tb_logf(float(v)) for v in x], np.float32)

    @staticmethod
    def _conv(b: Buffers, g: ConvGeometry, q: Quantization | None) -> CConv:
        conv = CConv(**{name: getattr(g, name) for name in ConvGeometry.__dataclass_fields__})
        conv.pad_top = g.padding
        if q is not None:
            conv.in_zero, conv.out_zero, conv.shift = q.in_zero, q.out_zero, q.shift
            conv.multiplier = b.read(q.multiplier)
        return conv

    @staticmethod
    def _weights(b: Buffers, weights: Weights, g: ConvGeometry) -> CWeights:
        count = min(weights.trainable_count, g.in_channels)
        return CWeights(b.read(weights.frozen), b.read(weights.trainable), b.read(weights.channels), count)

    @staticmethod
    def _scratch(b: Buffers, size: int) -> ctypes.c_void_p | None:
        return b.fresh(size, np.uint8)[0] if size else None

    def convolution(
        self,
        x: np.ndarray,
        weights: Weights,
        bias: np.ndarray,
        g: ConvGeometry,
        q: Quantization,
        *,
        depthwise: bool,
        masked: bool = True,
        pad_top: int | None = None,
        function: str | None = None,
        slots: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The forward kernel chosen for it. Returns (y, mask), mask None unless `masked`.

        function: another one; slots: its depthwise window's. `pad_top`: `g` is of some rows of an image, with
        so many rows of padding above them.
        """
        b = Buffers()
        shape = (g.out_height, g.out_width, g.out_channels)
        y, result = b.fresh(shape, np.int8)
        mask, bits = b.fresh((int(np.prod(shape)) + 7) // 8, np.uint8)
        w = self._weights(b, weights, g)
        conv = self._conv(b, g, q)
        conv.pad_top = g.padding if pad_top is None else pad_top
        operands = [ctypes.byref(conv), b.read(x), ctypes.byref(w), b.read(bias), y]
        operands.append(mask if masked else None)
        split = weights.channels is not None
        if depthwise:
            choice = kernel_choice.depthwise_conv2d(g, shift=q.shift)
            scratch = self._scratch(b, depthwise_scratch(g, masked=masked, slots=slots))
        else:
            choice = kernel_choice.conv2d(g, split=split)
            scratch = self._scratch(b, conv2d_scratch(g, split=split))
        self._call(function or choice.function, *operands, scratch)
        b.check()
        return result, self._unpack(bits, shape) if masked else None

    def depthwise_rows(
        self,
        x: np.ndarray,
        weights: Weights,
        bias: np.ndarray,
        g: ConvGeometry,
        q: Quantization,
        *,
        pad_top: int,
        in_place: bool = False,
        masked: bool = True,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The depthwise kernel chosen for some rows of an image: `g` counts those. In place: y is x."""
        b = Buffers()
        shape = (g.out_height, g.out_width, g.out_channels)
        count = int(np.prod(shape))
        if in_place:
            size = max(x.size, count)
            source, both = b.write(np.concatenate([x.reshape(-1), np.zeros(size - x.size, np.int8)]))
            y, result = source, both[:count].reshape(shape)
        else:
            source = b.read(x)
            y, result = b.fresh(shape, np.int8)
        mask, bits = b.fresh((count + 7) // 8, np.uint8)
        w = self._weights(b, weights, g)
        conv = self._conv(b, g, q)
        conv.pad_top = pad_top
        scratch = self._scratch(b, depthwise_scratch(g, masked=masked))
        operands = (ctypes.byref(w), b.read(bias), y, mask if masked else None, scratch)
        function = kernel_choice.depthwise_conv2d(g, shift=q.shift).function
        self._call(function, ctypes.byref(conv), source, *operands)
        b.check()
        return result, self._unpack(bits, shape) if masked else None

    @staticmethod
    def _unpack(bits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        mask = unpack_mask(bits, shape)
        assert np.array_equal(pack_mask(mask), bits), "unused bits of a mask must be 0"
        return mask

    def grad_input(
        self, gradient: np.ndarray, weights: Weights, g: ConvGeometry, *, depthwise: bool
    ) -> np.ndarray:
        b = Buffers()
        dx, result = b.fresh((g.in_height, g.in_width, g.in_channels), np.float32)
        w = self._weights(b, weights, g)
        operands = [ctypes.byref(self._conv(b, g, None)), b.read(gradient), ctypes.byref(w), dx]
        if depthwise:
            self._call(kernel_choice.depthwise_grad_input_f32(g).function, *operands)
        else:
            self._call(kernel_choice.conv2d_grad_input(g, gradient="f32").function, *operands)
        b.check()
        return result

    @staticmethod
    def _step(step: Step) -> CStep:
        return CStep(step.learning_rate, step.step_key, step.apply, step.accumulate, step.mean)

    @staticmethod
    def _update(b: Buffers, update: Update) -> tuple[CUpdate, Update]:
        """The C structure, and the update with `low` and `accumulator` as the buffers the kernel writes."""
        low = None if update.low is None else b.write(update.low)
        accumulator = None if update.accumulator is None else b.write(update.accumulator)
        structure = CUpdate(
            b.read(update.scale),
            update.stream,
            int(update.rounding),
            None if low is None else low[0],
            None if accumulator is None else accumulator[0],
        )
        after = replace(
            update,
            low=None if low is None else low[1],
            accumulator=None if accumulator is None else accumulator[1],
        )
        return structure, after

    def update(
        self,
        gradient: np.ndarray,
        x: np.ndarray,
        weights: Weights,
        g: ConvGeometry,
        in_zero: int,
        update: Update,
        step: Step,
        *,
        depthwise: bool,
    ) -> tuple[np.ndarray, Update]:
        """Returns the trainable weights after the update, and `low` and `accumulator` after it."""
        assert weights.trainable is not None
        b = Buffers()
        conv = self._conv(b, g, None)
        conv.in_zero = in_zero
        trainable, result = b.write(weights.trainable)
        count = min(weights.trainable_count, g.in_channels)
        w = CWeights(b.read(weights.frozen), trainable, b.read(weights.channels), count)
        structure, after = self._update(b, update)
        s = self._step(step)
        operands = [b.read(gradient), b.read(x), ctypes.byref(w), ctypes.byref(structure), ctypes.byref(s)]
        if depthwise:
            self._call("tb_depthwise_conv2d_update_f32", ctypes.byref(conv), *operands)
        else:
            self._call("tb_conv2d_update_f32", ctypes.byref(conv), *operands)
        b.check()
        return result, after

    def bias_update(
        self, gradient: np.ndarray, bias: np.ndarray, update: Update, step: Step, limit: int
    ) -> tuple[np.ndarray, Update]:
        b = Buffers()
        pixels, channels = gradient.shape[0] * gradient.shape[1], gradient.shape[2]
        stored, result = b.write(bias)
        structure, after = self._update(b, update)
        s = self._step(step)
        self._call(
            "tb_bias_update_f32",
            b.read(gradient),
            stored,
            ctypes.byref(structure),
            ctypes.byref(s),
            pixels,
            channels,
            ctypes.c_int32(limit),
            b.fresh(channels, np.float32)[0],
        )
        b.check()
        return result, after

    def add(
        self,
        a: np.ndarray,
        c: np.ndarray,
        p: AddParameters,
        *,
        masked: bool = True,
        where: str = "separate",
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`where`: "separate", "a" or "b": what y is. Mask None unless `masked`."""
        b = Buffers()
        first, over_a = b.write(a)
        second, over_b = b.write(c)
        fresh, apart = b.fresh(a.shape, np.int8)
        y, result = {"separate": (fresh, apart), "a": (first, over_a), "b": (second, over_b)}[where]
        mask, bits = b.fresh((a.size + 7) // 8, np.uint8)
        structure = CAdd(p.multiplier_a, p.multiplier_b, p.offset, p.shift)
        operands = (ctypes.byref(structure), first, second, y, mask if masked else None, a.size)
        self._call(kernel_choice.add(p).function, *operands)
        b.check()
        return result, self._unpack(bits, a.shape) if masked else None

    def add_grad(
        self, gradient: np.ndarray, mask: np.ndarray, factor_a: float, factor_b: float, where: str
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """`where`: "separate", "a in place", "b in place", "only a" or "only b"."""
        b = Buffers()
        g, in_place = b.write(gradient)
        fresh_a, result_a = b.fresh(gradient.shape, np.float32)
        fresh_b, result_b = b.fresh(gradient.shape, np.float32)
        ga, gb = {
            "separate": (fresh_a, fresh_b),
            "a in place": (g, fresh_b),
            "b in place": (fresh_a, g),
            "only a": (fresh_a, None),
            "only b": (None, fresh_b),
        }[where]
        factors = ctypes.c_float(factor_a), ctypes.c_float(factor_b)
        self._call("tb_add_grad_f32", g, b.read(pack_mask(mask)), *factors, ga, gb, gradient.size)
        b.check()
        results = {id(g): in_place, id(fresh_a): result_a, id(fresh_b): result_b}
        return results.get(id(ga)), results.get(id(gb))

    def accumulate(self, a: np.ndarray, c: np.ndarray, *, in_place: bool) -> np.ndarray:
        b = Buffers()
        first, result = b.write(a)
        if not in_place:
            y, result = b.fresh(a.shape, np.float32)
        self._call("tb_accumulate_f32", first, b.read(c), first if in_place else y, a.size)
        b.check()
        return result

    def masked_scale_i16(self, gradient: np.ndarray, mask: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
        b = Buffers()
        g, result = b.write(gradient)
        pixels, channels = gradient.shape[0] * gradient.shape[1], gradient.shape[2]
        function = kernel_choice.masked_scale(channels, gradient="i16").function
        self._call(function, g, b.read(pack_mask(mask)), b.read(multiplier), pixels, channels)
        b.check()
        return result

    def add_grad_i16(
        self, gradient: np.ndarray, mask: np.ndarray, multiplier: int, *, in_place: bool
    ) -> np.ndarray:
        b = Buffers()
        g, result = b.write(gradient)
        dx = g
        if not in_place:
            dx, result = b.fresh(gradient.shape, np.int16)
        self._call(
            "tb_add_grad_i16", g, b.read(pack_mask(mask)), ctypes.c_int32(multiplier), dx, gradient.size
        )
        b.check()
        return result

    def accumulate_i16(
        self, a: np.ndarray, exponent_a: int, c: np.ndarray, exponent_c: int, where: str
    ) -> tuple[np.ndarray, int]:
        """`where`: "separate", "a" or "b": what the sum is written to."""
        b = Buffers()
        first, over_a = b.write(a)
        second, over_b = b.write(c)
        fresh, apart = b.fresh(a.shape, np.int16)
        y, result = {"separate": (fresh, apart), "a": (first, over_a), "b": (second, over_b)}[where]
        exponents = ctypes.c_int32(exponent_a), ctypes.c_int32(exponent_c)
        exponent = self._call("tb_accumulate_i16", first, exponents[0], second, exponents[1], y, a.size)
        b.check()
        return result, exponent

    def masked_scale(self, gradient: np.ndarray, mask: np.ndarray, scale: np.ndarray) -> np.ndarray:
        b = Buffers()
        g, result = b.write(gradient)
        pixels, channels = gradient.shape[0] * gradient.shape[1], gradient.shape[2]
        function = kernel_choice.masked_scale(channels, gradient="f32").function
        self._call(function, g, b.read(pack_mask(mask)), b.read(scale), pixels, channels)
        b.check()
        return result

    def global_average_pool(
        self, x: np.ndarray, in_zero: int, multiplier: int, shift: int, out_zero: int
    ) -> np.ndarray:
        b = Buffers()
        y, result = b.fresh(x.shape[2], np.int8)
        zeros = ctypes.c_int32(in_zero), ctypes.c_int32(out_zero)
        self._call(
            "tb_global_average_pool_i8",
            b.read(x),
            y,
            x.shape[0] * x.shape[1],
            x.shape[2],
            *zeros,
            ctypes.c_int32(multiplier),
            ctypes.c_uint8(shift),
        )
        b.check()
        return result

    def global_average_pool_grad(self, df: np.ndarray, height: int, width: int, factor: float) -> np.ndarray:
        b = Buffers()
        dx, result = b.fresh((height, width, df.size), np.float32)
        self._call(
            "tb_global_average_pool_grad_f32", b.read(df), dx, height * width, df.size, ctypes.c_float(factor)
        )
        b.check()
        return result

    def global_average_pool_grad_i16(
        self, df: np.ndarray, height: int, width: int, factor: float
    ) -> tuple[np.ndarray, int]:
        b = Buffers()
        dx, result = b.fresh((height, width, df.size), np.int16)
        exponent = self._call(
            "tb_global_average_pool_grad_i16",
            b.read(df),
            dx,
            height * width,
            df.size,
            ctypes.c_float(factor),
        )
        b.check()
        return result, exponent

    def dequantize(self, x: np.ndarray, zero: int, scale: float) -> np.ndarray:
        b = Buffers()
        y, result = b.fresh(x.shape, np.float32)
        self._call("tb_dequantize_i8_f32", b.read(x), y, x.size, ctypes.c_int32(zero), ctypes.c_float(scale))
        b.check()
        return result

    def dequantize_grad(self, df: np.ndarray, scale: float) -> np.ndarray:
        b = Buffers()
        dx, result = b.fresh(df.shape, np.float32)
        self._call("tb_dequantize_grad_f32", b.read(df), dx, df.size, ctypes.c_float(scale))
        b.check()
        return result

    def fully_connected(self, x: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
        b = Buffers()
        y, result = b.fresh(bias.shape, np.float32)
        self._call("tb_fully_connected_f32", b.read(x), b.read(weights), b.read(bias), y, bias.size, x.size)
        b.check()
        return result

    def softmax_cross_entropy(
        self, logits: np.ndarray, label: int, *, in_place: bool
    ) -> tuple[np.float32, np.ndarray]:
        b = Buffers()
        z, result = b.write(logits)
        if not in_place:
            z = b.read(logits)
            gradient, result = b.fresh(logits.shape, np.float32)
        operands = (z, label, z if in_place else gradient, logits.size)
        loss = np.float32(self._call("tb_softmax_cross_entropy_f32", *operands))
        b.check()
        return loss, result

    def fully_connected_grad_input(self, dz: np.ndarray, weights: np.ndarray) -> np.ndarray:
        b = Buffers()
        df, result = b.fresh(weights.shape[1], np.float32)
        self._call("tb_fully_connected_grad_input_f32", b.read(dz), b.read(weights), df, *weights.shape)
        b.check()
        return result

    def fully_connected_update(
        self,
        dz: np.ndarray,
        features: np.ndarray,
        weights: np.ndarray,
        bias: np.ndarray,
        accumulators: tuple[np.ndarray, np.ndarray] | None,
        step: Step,
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
        b = Buffers()
        w, new_weights = b.write(weights)
        c, new_bias = b.write(bias)
        s = self._step(step)
        pointers: list[ctypes.c_void_p | None] = [None, None]
        after = None
        if accumulators is not None:
            first, second = b.write(accumulators[0]), b.write(accumulators[1])
            pointers, after = [first[0], second[0]], (first[1], second[1])
        operands = [b.read(dz), b.read(features), w, c, *pointers, ctypes.byref(s), *weights.shape]
        self._call("tb_fully_connected_update_f32", *operands)
        b.check()
        return new_weights, new_bias, after
