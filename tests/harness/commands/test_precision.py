"""`--precision fp32`: a float32 network compiles and runs, on the host and on a Cortex-M with room for it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
QEMU = "qemu-mps2-an500"


def test_what_a_float32_network_is_compiled_with(
    trainbench: Command, backbone_file: Path, tmp_path: Path
) -> None:
    words = ("compile", backbone_file, "--scheme", "last:2", "--out", "made", "--precision", "fp32")
    result = trainbench(*words, "--gradient", "i16", "--rounding", "extended")
    assert result.returncode == 0, result.stderr
    assert ", fp32, last:2, f32 gradients, sgd; float32 weights; arena" in result.stdout
    options = json.loads((tmp_path / "made" / "plan.json").read_text("utf-8"))["options"]
    assert options["precision"] == "fp32"
    assert (options["gradient"], options["rounding"], options["qas"]) == ("f32", "nearest", False)


def test_an_unknown_precision_is_named(trainbench: Command, backbone_file: Path) -> None:
    words = ("compile", backbone_file, "--scheme", "full", "--out", "made", "--precision", "fp16")
    result = trainbench(*words)
    assert result.returncode == 2
    assert "precision 'fp16'; known are int8, fp32" in result.stderr


@pytest.mark.parametrize(
    "target",
    [
        "host",
        pytest.param(
            QEMU,
            marks=[
                pytest.mark.emulator,
                pytest.mark.skipif(
                    shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
                    reason="needs qemu-system-arm and arm-none-eabi-gcc",
                ),
            ],
        ),
    ],
)
def test_it_is_profiled(trainbench: Command, backbone_file: Path, target: str) -> None:
    words = ("profile", backbone_file, "--scheme", "full", "--precision", "fp32", "--target", target)
    result = trainbench(*words)
    assert result.returncode == 0, result.stderr
    for kind in ("float_conv2d_grad_weight", "float_depthwise_conv2d_grad_input", "float_update"):
        assert kind in result.stdout
    assert "f32 gradients" in result.stdout
