"""Each kernel against its naive twin where the compiler may choose it, and traps where it may not."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_bindings import Kernels, build_library
from kernel_cases import int8s, same_bits
from kernel_data import Quantization, split_weights

from engine.operators import kernel_choice, reference
from engine.operators.reference import ConvGeometry

CONV2D_PATHS = [
    *("pointwise", "pointwise_8", "pointwise_16", "pointwise_24", "pointwise_odd", "pointwise_split"),
    *("general", "stem", "stem_s2"),
]
DEPTHWISE = [
    (kernel, stride, slots)
    for (kernel, stride), windows in kernel_choice.WINDOW_SLOTS.items()
    for slots in (0, *windows)
]


def forward(
    kernels: Kernels,
    g: ConvGeometry,
    function: str,
    seed: int,
    share: float | None,
    masked: bool,
    shift: int,
    slots: int | None = None,
) -> None:
    """One call of a named kernel; depthwise where its name says so."""
    rng, depthwise = np.random.default_rng(seed), "depthwise" in function
    x = int8s(rng, (g.in_height, g.in_width, g.in_channels), seed % 5 == 0)
    shape = (g.out_channels, g.kernel_height, g.kernel_width, g.in_channels)
    weights = int8s(rng, shape[:3] if depthwise else shape, seed % 7 == 0)
    scale = rng.uniform(1e-4, 2e-2, g.out_channels) * 2.0**shift
    multiplier = np.rint(np.minimum(scale / 2.0**shift, 0.49) * 2.0**32).astype(np.int32)
    limit = reference.bias_limit(shift)
    bias = rng.integers(-min(9999, limit), min(9999, limit) + 1, g.out_channels).astype(np.int32)
    chosen = None
    if share is not None:
        chosen = sorted(rng.permutation(g.in_channels)[: round(share * g.in_channels)].tolist())
    q = Quantization(int(rng.choice([-128, -3, 127])), int(rng.choice([-128, 5])), multiplier, shift)
    stored = split_weights(weights, chosen)
    y, mask = kernels.convolution(
        x, stored, bias, g, q, depthwise=depthwise, masked=masked, function=function, slots=slots
    )
    twin = reference.depthwise_conv2d if depthwise else reference.conv2d
    expected, expected_mask = twin(x, weights, bias, g, q.in_zero, multiplier, shift, q.out_zero)
    same_bits(y, expected)
    if mask is not None:
        same_bits(mask, expected_mask)


SEEDS, SIZES = st.integers(0, 2**32 - 1), st.tuples(st.integers(1, 21), st.integers(1, 21))


@pytest.mark.parametrize(("kernel", "stride", "slots"), DEPTHWISE)
@settings(max_examples=20, deadline=None)
@given(
    size=SIZES,
    channels=st.sampled_from([1, 3, 4, 8, 9, 12, 16]),
    share=st.sampled_from([None, 0.0, 0.4, 1.0]),
    masked=st.booleans(),
    shift=st.sampled_from([0, 0, 3, 8]),
    seed=SEEDS,
)
def test_depthwise_kernels(
    kernels: Kernels,
    kernel: int,
    stride: int,
    slots: int,
    size: tuple[int, int],
    channels: int,
    share: float | None,
    masked: bool,
    shift: int,
    seed: int,
) -> None:
    """A ring of rows takes every shape that a window takes, too, and a larger window what a smaller takes."""
    (height, width), padding = size, kernel // 2
    if slots:
        height = min(height, slots - kernel + 1)
    out = [(s + 2 * padding - kernel) // stride + 1 for s in (height, width)]
    g = ConvGeometry(height, width, channels, *out, channels, kernel, kernel, stride, padding)
    if slots and 32 * kernel_choice.depthwise_quads(g) * slots > kernel_choice.WINDOW_BYTES:
        slots = 0
    window = f"window{slots}" if slots else "rows"
    function = f"tb_depthwise_{kernel}x{kernel}_s{stride}_{window}_i8"
    forward(kernels, g, function, seed, share, masked, shift, slots)


@pytest.mark.parametrize("path", CONV2D_PATHS)
@settings(max_examples=30, deadline=None)
@given(
    size=SIZES,
    inputs=st.integers(1, 37),
    outputs=st.integers(1, 19),
    masked=st.booleans(),
    shift=st.sampled_from([0, 0, 3]),
    seed=SEEDS,
)
def test_convolution_kernels(
    kernels: Kernels,
    path: str,
    size: tuple[int, int],
    inputs: int,
    outputs: int,
    masked: bool,
    shift: int,
    seed: int,
) -> None:
    height, width = size
    share, g = None, ConvGeometry(height, width, inputs, height, width, outputs, 1, 1, 1, 0)
    if path == "pointwise":
        g = ConvGeometry(height, width, 4 * inputs, height, width, outputs, 1, 1, 1, 0)
    elif path.rpartition("_")[2].isdigit():
        inputs = int(path.rpartition("_")[2])
        g = ConvGeometry(height, width, inputs, height, width, outputs, 1, 1, 1, 0)
    elif path == "pointwise_split":
        inputs = max(2, inputs)
        g = ConvGeometry(height, width, inputs, height, width, outputs, 1, 1, 1, 0)
        share = 0.5
    elif path.startswith("stem"):
        stride = 2 if path == "stem_s2" else 1 + seed % 2
        out = [(s - 1) // stride + 1 for s in size]
        g = ConvGeometry(height, width, 3, *out, outputs, 3, 3, stride, 1)
    elif path == "general":
        share = [None, 0.0, 0.5, 1.0][seed % 4]
        g = ConvGeometry(height, width + 2, inputs, height + 1, width + 2, outputs, 2, 3, 1, 1)
    forward(kernels, g, f"tb_conv2d_{path}_i8", seed, share, masked, shift)


POINTWISE = "ConvGeometry(4, 4, 8, 4, 4, 8, 1, 1, 1, 0)"
SQUARE = "ConvGeometry(4, 4, 8, 4, 4, 8, 3, 3, 1, 1)"
WRONG = [
    ("tb_conv2d_pointwise_i8", SQUARE),
    ("tb_conv2d_pointwise_i8", "ConvGeometry(4, 4, 6, 4, 4, 8, 1, 1, 1, 0)"),
    ("tb_conv2d_pointwise_16_i8", POINTWISE),
    ("tb_conv2d_pointwise_odd_i8", "ConvGeometry(4, 4, 6, 2, 2, 8, 1, 1, 2, 0)"),
    ("tb_conv2d_pointwise_split_i8", POINTWISE),  # in one place
    ("tb_conv2d_stem_i8", SQUARE),
    ("tb_conv2d_stem_s2_i8", "ConvGeometry(4, 4, 3, 4, 4, 8, 3, 3, 1, 1)"),
    ("tb_depthwise_3x3_s2_rows_i8", SQUARE),
    ("tb_depthwise_5x5_s1_rows_i8", SQUARE),
    ("tb_depthwise_3x3_s1_rows_i8", "ConvGeometry(4, 4, 8, 2, 2, 8, 3, 3, 1, 0)"),
    ("tb_depthwise_3x3_s1_window4_i8", SQUARE),
    ("tb_depthwise_3x3_s1_window18_i8", "ConvGeometry(40, 40, 8, 40, 40, 8, 3, 3, 1, 1)"),
]


@pytest.fixture(scope="module", params=[[], ["-DTB_DSP=1"]], ids=["plain", "dsp"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("checks") / "kernels.so"
    build_library(["gcc", "-O1", *request.param], found)
    return found


def called(library: Path, function: str, geometry: str) -> int:
    """Exit status of a process that calls it."""
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\nfrom kernel_bindings import Kernels\n"
        "from engine.operators.reference import ConvGeometry\nimport test_kernel_choice\n"
        f"kernels = Kernels(Path({str(library)!r}))\n"
        f"test_kernel_choice.forward(kernels, {geometry}, {function!r}, 1, None, True, 0)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, timeout=60, check=False
    )
    return done.returncode


def test_a_kernel_traps_at_a_shape_that_is_not_its_own(library: Path) -> None:
    assert called(library, "tb_conv2d_general_i8", SQUARE) == 0
    found = {(function, g): called(library, function, g) for function, g in WRONG}
    assert [case for case, status in found.items() if status >= 0] == []
