"""`trainbench compile`: what is said of the trainer, and the update rules."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_a_rule_with_its_options(trainbench: Command, backbone_file: Path, tmp_path: Path) -> None:
    words = ("compile", backbone_file, "--scheme", "last:2", "--out", "made")
    result = trainbench(
        *words,
        "--rule",
        "lars",
        "--momentum",
        "0.5",
        "--convolution-rate",
        "30",
        "--no-qas",
        "--accumulate",
        "4",
    )
    assert result.returncode == 0, result.stderr
    said = (
        "lars 0.5, every 4 images, without quantization-aware scaling, convolutions at 30 times the rate;"
        " stochastic rounding"
    )
    assert said in result.stdout
    assert said in (tmp_path / "made" / "trainer.c").read_text("utf-8")
    options = json.loads((tmp_path / "made" / "plan.json").read_text("utf-8"))["options"]
    assert (options["rule"], options["momentum"], options["convolution_rate"]) == ("lars", 0.5, 30.0)
    assert (options["qas"], options["accumulate"]) == (False, 4)


def test_sgd_by_default(trainbench: Command, backbone_file: Path) -> None:
    result = trainbench("compile", backbone_file, "--scheme", "last:2", "--out", "made")
    assert result.returncode == 0, result.stderr
    assert "sgd, with quantization-aware scaling; stochastic rounding" in result.stdout
