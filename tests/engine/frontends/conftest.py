"""A network small enough to write down, in the format of tiny-training, and ways to damage its file."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import NetworkFileError
from engine.frontends import Backbone, load_backbone

Network = dict[str, Any]
INPUT = (1 / 127.5, 0)
STEM, NARROW, WIDE, SUM = (0.02, -128), (0.05, 3), (0.03, -128), (0.07, -5)


def convolution(
    inputs: int,
    outputs: int,
    size: int,
    kernel: int,
    stride: int,
    quantization: tuple[Any, Any],
    *,
    depthwise: bool = False,
) -> Network:
    generator = np.random.default_rng([inputs, outputs, kernel])
    shape = (outputs, 1 if depthwise else inputs, kernel, kernel)
    (x_scale, x_zero), (y_scale, y_zero) = quantization
    return {
        "in_channel": inputs,
        "in_shape": size,
        "out_channel": outputs,
        "out_shape": (size - 1) // stride + 1,
        "kernel_size": (kernel, kernel),
        "stride": stride,
        "groups": outputs if depthwise else 1,
        "depthwise": depthwise,
        "act": None,
        "params": {
            "weight": generator.integers(-127, 128, shape, dtype=np.int8),
            "bias": generator.integers(-1000, 1000, outputs, dtype=np.int32),
            "x_scale": x_scale,
            "x_zero": x_zero,
            "y_scale": y_scale,
            "y_zero": y_zero,
            "w_scales": generator.uniform(0.001, 0.01, outputs).astype(np.float32),
        },
    }


@pytest.fixture
def network() -> Network:
    """Stem, a block without expansion, a block with a residual sum, classifier; 16×16 pixels."""
    classifier = convolution(2, 3, 1, 1, 1, (SUM, (0.1, 0)))
    for key in ("in_shape", "out_shape", "depthwise", "act"):
        del classifier[key]
    return {
        "first_conv": convolution(3, 4, 16, 3, 2, (INPUT, STEM)),
        "blocks": [
            {
                "pointwise1": None,
                "depthwise": convolution(4, 4, 8, 3, 1, (STEM, STEM), depthwise=True),
                "pointwise2": convolution(4, 2, 8, 1, 1, (STEM, NARROW)),
                "residual": None,
                "se": None,
            },
            {
                "pointwise1": convolution(2, 6, 8, 1, 1, (NARROW, WIDE)),
                "depthwise": convolution(6, 6, 8, 5, 1, (WIDE, WIDE), depthwise=True),
                "pointwise2": convolution(6, 2, 8, 1, 1, (WIDE, NARROW)),
                "residual": {
                    "in_channel": 2,
                    "in_shape": 8,
                    "params": {
                        "x_scale": NARROW[0],
                        "x_zero": NARROW[1],
                        "y_scale": SUM[0],
                        "y_zero": SUM[1],
                    },
                },
                "se": None,
            },
        ],
        "feature_mix": None,
        "classifier": classifier,
    }


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def zip_entries() -> Callable[[dict[str, bytes]], bytes]:
    """The bytes of a zip file with these entries."""
    return zipped


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Network], Path]:
    """Write a network as torch.save of the zip format does, and return the path."""

    def write(network: Network) -> Path:
        path = tmp_path / "small.pkl"
        path.write_bytes(
            zipped({"archive/data.pkl": pickle.dumps(network, protocol=2), "archive/version": b"3\n"})
        )
        return path

    return write


@pytest.fixture
def save_pickle(tmp_path: Path) -> Callable[[bytes], Path]:
    """Write a network file around these pickle bytes, and return the path."""

    def write(content: bytes) -> Path:
        path = tmp_path / "small.pkl"
        path.write_bytes(zipped({"archive/data.pkl": content}))
        return path

    return write


@pytest.fixture
def backbone(network: Network, save: Callable[[Network], Path]) -> Backbone:
    return load_backbone(save(network))


@pytest.fixture
def refused() -> Callable[[Path], str]:
    """Load a file that has to be refused, and return the message: one sentence that names the file."""

    def check(path: Path) -> str:
        with pytest.raises(NetworkFileError) as caught:
            load_backbone(path)
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 600
        assert message.startswith(f"network file {path}: ")
        return message

    return check
