"""Every way the kernels are built gives the same bytes, and none breaks a rule of C or of the firmware."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from convolution_bindings_i16 import bias_update, conv2d_grad_input, conv2d_update
from kernel_bindings import FLAGS, SOURCES, Kernels, build_library, run_tool, runs_avx2
from kernel_cases import float32s, int8s, same_bits
from kernel_data import Quantization, Step, Update, split_weights

from engine.operators import integer_gradients, reference
from engine.operators.reference import ConvGeometry, Rounding

UNDEFINED = ["-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all"]
HOST_BUILDS = [
    ["gcc", "-O0"],
    ["gcc", "-O2"],
    ["gcc", "-O3", "-march=native"],
    ["gcc", "-O2", "-DTB_LANES=4"],  # the block size of the firmware
    ["gcc", "-O2", "-DTB_DSP=1"],
    ["clang", "-O2"],
    ["clang", "-O3", "-march=native"],
    ["gcc", "-O2", "-mavx2"],
    ["clang", "-O2", "-mavx2"],
    ["gcc", "-O3", "-march=native", "-DTB_VECTOR=0"],
    # A signed overflow, a shift out of range or a float that fits no integer ends the call with an error.
    ["gcc", "-O1", *UNDEFINED],
    ["gcc", "-O1", *UNDEFINED, "-DTB_DSP=1"],
    ["gcc", "-O1", *UNDEFINED, "-mavx2"],
    ["gcc", "-O1", *UNDEFINED, "-march=native"],
]
CROSS_COMPILER = "arm-none-eabi-gcc"
CORTEX_M7 = ["-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-d16", "-ffreestanding"]
CORTEX_M4 = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-ffreestanding"]
# What a compiler may call without being asked to: copies and fills of memory.
ALLOWED_SYMBOLS = {"memset", "memcpy", "memmove"}
GEOMETRIES = [
    (False, ConvGeometry(6, 5, 20, 6, 5, 22, 1, 1, 1, 0)),
    (False, ConvGeometry(1, 1, 33, 1, 1, 7, 1, 1, 1, 0)),
    (False, ConvGeometry(9, 9, 3, 5, 5, 16, 3, 3, 2, 1)),
    (True, ConvGeometry(8, 7, 39, 8, 7, 39, 3, 3, 1, 1)),
    (True, ConvGeometry(9, 9, 21, 5, 5, 21, 7, 7, 2, 3)),
]


def need(tool: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")


def need_processor(flags: list[str]) -> None:
    if "-mavx2" in flags and not runs_avx2():
        pytest.skip("this processor has no AVX2")


def check_convolution(kernels: Kernels, depthwise: bool, g: ConvGeometry, rng: np.random.Generator) -> None:
    """Forward, both gradients and all updates of one layer, half of its channels trainable."""
    shape = (g.out_channels, g.kernel_height, g.kernel_width, g.in_channels)
    weights = int8s(rng, shape[:3] if depthwise else shape, False)
    channels = sorted(rng.permutation(g.in_channels)[: (g.in_channels + 1) // 2].tolist())
    stored = split_weights(weights, channels)
    multiplier, shift = reference.multiplier_and_shift(10.0 ** rng.uniform(-4, 0.5, g.out_channels))
    q = Quantization(-7, 11, multiplier, shift)
    bias = rng.integers(-5000, 5000, g.out_channels).astype(np.int32)
    x = int8s(rng, (g.in_height, g.in_width, g.in_channels), False)
    forward = reference.depthwise_conv2d if depthwise else reference.conv2d
    y, mask = kernels.convolution(x, stored, bias, g, q, depthwise=depthwise)
    expected, expected_mask = forward(x, weights, bias, g, q.in_zero, multiplier, shift, q.out_zero)
    same_bits(y, expected)
    same_bits(mask, expected_mask)

    gradient = float32s(rng, y.shape, False)
    grad_input = reference.depthwise_conv2d_grad_input if depthwise else reference.conv2d_grad_input
    same_bits(kernels.grad_input(gradient, stored, g, depthwise=depthwise), grad_input(gradient, weights, g))

    if depthwise:
        operands = gradient[:, :, channels], x[:, :, channels], q.in_zero, g
        dw = reference.depthwise_conv2d_grad_weight(*operands)
    else:
        dw = reference.conv2d_grad_weight(gradient, x[:, :, channels], q.in_zero, g)
    scale = (10.0 ** rng.uniform(-3, 3, g.out_channels)).astype(np.float32)
    for rounding in Rounding:
        low = rng.integers(0, 256, stored.trainable.shape).astype(np.uint8)
        update = Update(scale, 3, rounding, low if rounding is Rounding.EXTENDED else None)
        after, changed = kernels.update(
            gradient, x, stored, g, q.in_zero, update, Step(0.01, 77), depthwise=depthwise
        )
        rows = scale[channels] if depthwise else scale
        wanted, wanted_low = reference.apply_int8(
            stored.trainable, dw, rows, 0.01, rounding, 77, 3, update.low
        )
        same_bits(after, wanted)
        if wanted_low is not None:
            same_bits(changed.low, wanted_low)
        same_bits(
            kernels.bias_update(gradient, bias, Update(scale, 4, rounding), Step(0.01, 78), 2**30)[0],
            reference.apply_bias(
                bias, reference.bias_gradient(gradient), scale, 0.01, rounding, 78, 4, 2**30
            ),
        )
    same_bits(
        kernels.masked_scale(gradient, mask, scale), reference.masked_scale(gradient, expected_mask, scale)
    )


def check_convolution_i16(kernels: Kernels, g: ConvGeometry, rng: np.random.Generator) -> None:
    """Both gradients of one layer in int16, half of its channels trainable, and all updates."""
    weights = int8s(rng, (g.out_channels, g.kernel_height, g.kernel_width, g.in_channels), False)
    channels = sorted(rng.permutation(g.in_channels)[: (g.in_channels + 1) // 2].tolist())
    stored, x = split_weights(weights, channels), int8s(rng, (g.in_height, g.in_width, g.in_channels), False)
    gradient = rng.integers(-(2**14), 2**14, (g.out_height, g.out_width, g.out_channels)).astype(np.int16)
    dx, exponent = conv2d_grad_input(kernels, gradient, -9, stored, g)
    expected, wanted_exponent = integer_gradients.conv2d_grad_input(gradient, -9, weights, g)
    same_bits(dx, expected)
    assert exponent == wanted_exponent
    dw = integer_gradients.conv2d_grad_weight(gradient, -20, x[:, :, channels], 5, g)
    db = integer_gradients.bias_gradient(gradient, -20)
    scale = (10.0 ** rng.uniform(-3, 3, g.out_channels)).astype(np.float32)
    bias = rng.integers(-5000, 5000, g.out_channels).astype(np.int32)
    for rounding in Rounding:
        low = rng.integers(0, 256, stored.trainable.shape).astype(np.uint8)
        update = Update(scale, 3, rounding, low if rounding is Rounding.EXTENDED else None)
        after, changed = conv2d_update(kernels, gradient, -20, x, stored, g, 5, update, Step(0.01, 77))
        keys = (0.01, rounding, 77, 3)
        wanted, wanted_low = reference.apply_int8(stored.trainable, dw, scale, *keys, update.low)
        same_bits(after, wanted)
        if wanted_low is not None:
            same_bits(changed.low, wanted_low)
        moved, _ = bias_update(
            kernels, gradient, -20, bias, Update(scale, 3, rounding), Step(0.01, 77), 2**30
        )
        same_bits(moved, reference.apply_bias(bias, db, scale, *keys, 2**30))


def check_the_rest(kernels: Kernels, rng: np.random.Generator) -> None:
    a, b = int8s(rng, (5, 5, 9), False), int8s(rng, (5, 5, 9), False)
    p = reference.add_parameters(0.05, 3, 0.07, -128, 0.06, 4)
    y, mask = kernels.add(a, b, p)
    same_bits(y, reference.add(a, b, p)[0])
    same_bits(mask, reference.add(a, b, p)[1])
    gradient = float32s(rng, a.shape, True)
    for actual, wanted in zip(
        kernels.add_grad(gradient, mask, 0.7, 1.3, "separate"),
        reference.add_grad(gradient, mask, np.float32(0.7), np.float32(1.3)),
        strict=True,
    ):
        same_bits(actual, wanted)
    multiplier, shift = reference.multiplier_and_shift(0.9 / 25)
    pooled = kernels.global_average_pool(a, 3, int(multiplier[0]), shift, -1)
    same_bits(pooled, reference.global_average_pool(a, 3, int(multiplier[0]), shift, -1))
    features = kernels.dequantize(pooled, -1, 0.0123)
    same_bits(features, reference.dequantize(pooled, -1, np.float32(0.0123)))
    weights, bias = rng.normal(size=(4, 9)).astype(np.float32), np.zeros(4, np.float32)
    logits = kernels.fully_connected(features, weights, bias)
    same_bits(logits, reference.fully_connected(features, weights, bias))
    loss, dz = kernels.softmax_cross_entropy(logits, 2, in_place=True)
    expected_loss, expected_dz = reference.softmax_cross_entropy(logits, 2)
    same_bits(np.asarray(loss), np.asarray(expected_loss))
    same_bits(dz, expected_dz)
    df = kernels.fully_connected_grad_input(dz, weights)
    same_bits(df, reference.fully_connected_grad_input(dz, weights))
    trained = kernels.fully_connected_update(dz, features, weights, bias, None, Step(0.1))
    for actual, wanted in zip(
        trained[:2], reference.fully_connected_update(weights, bias, dz, features, 0.1), strict=True
    ):
        same_bits(actual, wanted)
    wide = rng.integers(-(2**15), 2**15, a.shape).astype(np.int16)
    factors = rng.integers(0, 2**31, 9).astype(np.int32)
    masked = kernels.masked_scale_i16(wide, mask, factors)
    same_bits(masked, integer_gradients.masked_scale(wide, mask, factors))
    scaled = kernels.add_grad_i16(wide, mask, 2**31 - 1, in_place=False)
    same_bits(scaled, integer_gradients.add_grad(wide, mask, 2**31 - 1))
    total, exponent = kernels.accumulate_i16(masked, -9, scaled, -30, "a")
    wanted, wanted_exponent = integer_gradients.accumulate(masked, -9, scaled, -30)
    same_bits(total, wanted)
    assert exponent == wanted_exponent
    spread, exponent = kernels.global_average_pool_grad_i16(df, 5, 5, 0.3)
    wanted, wanted_exponent = integer_gradients.global_average_pool_grad(df, 5, 5, np.float32(0.3))
    same_bits(spread, wanted)
    assert exponent == wanted_exponent
    x = -(10.0 ** rng.uniform(-6, 2, 300)).astype(np.float32)
    same_bits(kernels.exp(x), reference.exp(x))
    same_bits(kernels.log(1 - x), reference.log(1 - x))


@pytest.mark.parametrize("compiler", HOST_BUILDS, ids=" ".join)
def test_same_bits(compiler: list[str], tmp_path: Path) -> None:
    need(compiler[0])
    need_processor(compiler)
    build_library(compiler, tmp_path / "kernels.so")
    kernels, rng = Kernels(tmp_path / "kernels.so"), np.random.default_rng(5)
    for depthwise, geometry in GEOMETRIES:
        check_convolution(kernels, depthwise, geometry, rng)
        if not depthwise:
            check_convolution_i16(kernels, geometry, rng)
    check_the_rest(kernels, rng)


@pytest.mark.parametrize(
    "path", [[], ["-DTB_DSP=1"], ["-mavx2"], ["-march=native"]], ids=["plain", "dsp", "vector", "native"]
)
def test_sanitizers_find_nothing(path: list[str], tmp_path: Path) -> None:
    need("gcc")
    need_processor(path)
    program = tmp_path / "driver"
    sanitize = ["-O1", "-g", "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"]
    driver = Path(__file__).with_name("sanitizer_driver.c")
    run_tool(["gcc", "-DTB_CHECKS=1", *sanitize, *path, *FLAGS, driver, *SOURCES, "-o", program])
    assert re.fullmatch(r"\d+ layers\n", run_tool([program]))


@pytest.mark.parametrize("core", [CORTEX_M7, CORTEX_M4], ids=["cortex-m7", "cortex-m4"])
def test_firmware_build_needs_no_library(core: list[str], tmp_path: Path) -> None:
    need(CROSS_COMPILER)
    merged = tmp_path / "kernels.o"
    run_tool([CROSS_COMPILER, *core, "-O3", *FLAGS, "-nostdlib", "-r", *SOURCES, "-o", merged])
    undefined = run_tool(["arm-none-eabi-nm", "--undefined-only", "--just-symbols", merged]).split()
    assert set(undefined) <= ALLOWED_SYMBOLS
    sections = dict(
        re.findall(r"^(\.\w+)\s+(\d+)", run_tool(["arm-none-eabi-size", "-A", merged]), re.MULTILINE)
    )
    assert int(sections.get(".data", 0)) == int(sections.get(".bss", 0)) == 0, "kernels keep no state"


def test_fast_math_is_refused(tmp_path: Path) -> None:
    need("gcc")
    with pytest.raises(AssertionError, match="must not be built with -ffast-math"):
        build_library(["gcc", "-ffast-math"], tmp_path / "kernels.so")
