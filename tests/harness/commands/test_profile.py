"""`trainbench profile` on a small network: figures that agree with the plan, the page, bad input."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.profile.figures import OPERATOR_PREFIX

Command = Callable[..., "subprocess.CompletedProcess[str]"]
QEMU = "qemu-mps2-an500"
Rows = dict[str, dict[str, str]]


def figures(output: str) -> Rows:
    return {row["figure"]: row for row in csv.DictReader(io.StringIO(output))}


@pytest.mark.emulator
@pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)
def test_a_profile_on_an_emulator_adds_up(trainbench: Command, backbone_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "pages" / "profile.html"
    words = ("profile", backbone_file, "--scheme", "last:3", "--target", QEMU, "--steps", "3")
    result = trainbench(*words, "--csv", "--html", page)
    assert result.returncode == 0, result.stderr
    rows = figures(result.stdout)
    assert {row["target"] for row in rows.values()} == {QEMU}
    value = {name: float(row["value"]) for name, row in rows.items()}
    assert value["peak_sram"] == sum(value[name] for name in ("static", "state", "arena", "stack"))
    assert value["plan_peak"] == value["plan_bound"] + value["plan_gap"]
    assert value["arena_touched"] <= value["plan_peak"] <= value["arena"]
    assert value["agent"] > 0 and value["flash"] > 0
    assert rows["step_ticks"]["unit"] == "instructions"
    assert rows["step_ticks"]["kind"] == "simulated"
    assert rows["backward_per_mac"]["unit"] == "instructions/MAC"
    assert value["forward_per_mac"] > 0 and value["backward_per_mac"] > 0
    operators = [number for name, number in value.items() if name.startswith(OPERATOR_PREFIX)]
    assert len(operators) > 10
    assert sum(operators) == pytest.approx(value["step_ticks"], rel=0.2)
    assert page.stat().st_size > 10_000


def test_a_profile_on_the_host_has_times_and_no_sram(
    trainbench: Command, backbone_file: Path, tmp_path: Path
) -> None:
    result = trainbench("profile", backbone_file, "--scheme", "last:3", "--target", "host", "--classes", "5")
    assert result.returncode == 0, result.stderr
    assert "SRAM is not measured on host" in result.stdout
    assert "nanoseconds" in result.stdout
    assert "all after the forward pass" in result.stdout
    assert "The arena's peak is at operator" in result.stdout
    assert "noise" in result.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--scheme", "magic"), ("no scheme named 'magic'", "last-layer")),
        (("--target", "moon"), ("no target named 'moon'", QEMU)),
        (("--rounding", "up"), ("no rounding named 'up'", "stochastic")),
        (("--gradient", "f16"), ("no gradient format named 'f16'", "i16")),
    ],
)
def test_bad_input_is_one_sentence(
    trainbench: Command, backbone_file: Path, words: tuple[str, str], expected: tuple[str, str]
) -> None:
    given = {"--scheme": "last:3", "--target": "host"} | {words[0]: words[1]}
    result = trainbench("profile", backbone_file, *(word for pair in given.items() for word in pair))
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""
    for word in expected:
        assert word in result.stderr


def test_the_gradient_format_is_compiled_and_said(trainbench: Command, backbone_file: Path) -> None:
    words = ("profile", backbone_file, "--scheme", "last:3", "--target", "host", "--gradient")
    texts = {name: trainbench(*words, name).stdout for name in ("f32", "i16")}
    for name, text in texts.items():
        assert f"{name} gradients" in text
    assert ("_i16" in texts["f32"], "_i16" in texts["i16"]) == (False, True), "kinds of operators"


def test_a_network_that_is_not_there_lists_the_shipped_ones(trainbench: Command) -> None:
    result = trainbench("profile", "moon", "--scheme", "full", "--target", "host")
    assert result.returncode == 2
    assert "moon" in result.stderr and "mcunet-5fps-cifar10" in result.stderr


def test_fewer_than_two_classes_are_a_usage_error(trainbench: Command, backbone_file: Path) -> None:
    words = ("profile", backbone_file, "--scheme", "full", "--target", "host", "--classes", "1")
    result = trainbench(*words)
    assert result.returncode == 2
    assert "--classes" in result.stderr and "Traceback" not in result.stderr
