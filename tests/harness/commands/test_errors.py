"""Expected errors: exit code 2, one sentence on stderr that helps, no traceback, nothing on stdout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def assert_one_sentence(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nothing"), ("no suite named 'nothing'", "people-detection")),
        (("run", "people-detection", "--target", "moon"), ("no target named 'moon'", "qemu-mps2-an500")),
        (("run", "people-detection", "--method", "magic"), ("no method named 'magic'", "sparse-49kb")),
        (("run", "people-detection", "--rounding", "up"), ("no rounding named 'up'", "stochastic")),
        (("run", "people-detection", "--gradient", "f16"), ("no gradient format named 'f16'", "i16")),
        (("accuracy", "people-detection", "--gradient", "f16"), ("no gradient format named 'f16'", "i16")),
        (("run", "people-detection", "--backbone", "gone.npz"), ("gone.npz",)),
        (("run", "people-detection", "--seed", "-1"), ("seed -1",)),
        (("run", "people-detection", "--learning-rate", "nan"), ("learning rate",)),
        (("accuracy", "people-detection", "--learning-rates", "1e-3,x"), ("--learning-rates", "1e-3,x")),
        (("accuracy", "nothing"), ("no suite named 'nothing'",)),
        (("report", "missing"), ("missing", "not a folder")),
        (("figures", "missing"), ("missing", "not a folder")),
        (("compile", "gone.pkl", "--scheme", "full", "--out", "x"), ("gone.pkl",)),
        (
            ("compile", "gone.pkl", "--scheme", "full", "--out", "x", "--gradient", "f16"),
            ("no gradient format named 'f16'", "i16"),
        ),
        (
            ("compile", "gone.pkl", "--scheme", "full", "--out", "x", "--rule", "newton"),
            ("update rule 'newton'", "lars"),
        ),
        (
            ("profile", "gone.pkl", "--scheme", "full", "--target", "host", "--momentum", "1"),
            ("momentum 1.0", "less than 1"),
        ),
        (
            ("profile", "gone.pkl", "--scheme", "full", "--target", "host", "--convolution-rate", "0"),
            ("convolutions at 0.0 times the learning rate",),
        ),
    ],
)
def test_bad_input_is_one_sentence(
    trainbench: Command, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    assert_one_sentence(trainbench(*arguments), *words)


def test_an_unknown_option_or_command_is_a_usage_error(trainbench: Command) -> None:
    for arguments in (("run", "people-detection", "--colour"), ("fly",), ("run",)):
        result = trainbench(*arguments)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("content", "name"), [(b"", "empty.npz"), (b"PK\x03\x04 cut", "cut.npz"), (b"\x80\x04.", "bare.pkl")]
)
def test_a_truncated_backbone_is_one_sentence(
    trainbench: Command, tmp_path: Path, content: bytes, name: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert_one_sentence(trainbench("run", "people-detection", "--backbone", name), name)


def test_a_hostile_pickle_is_refused_and_not_executed(trainbench: Command, tmp_path: Path) -> None:
    program = b"cos\nsystem\n(S'touch executed'\ntR."
    with zipfile.ZipFile(tmp_path / "hostile.pkl", "w") as archive:
        archive.writestr("archive/data.pkl", program)
    assert_one_sentence(trainbench("run", "people-detection", "--backbone", "hostile.pkl"), "hostile.pkl")
    assert not (tmp_path / "executed").exists()


def test_a_broken_dataset_is_one_sentence(trainbench: Command, backbone_file: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.npz").write_bytes(b"no archive")
    for specification, word in (("coco-mix:broken.npz", "broken.npz"), ("moon", "moon")):
        result = trainbench(
            "run", "people-detection", "--backbone", backbone_file, "--dataset", specification
        )
        assert_one_sentence(result, word)


def test_a_missing_toolchain_says_how_to_get_it(
    trainbench: Command, backbone_file: Path, tmp_path: Path
) -> None:
    environment = {"PATH": str(tmp_path)}
    for target, program in (("host", "compiler"), ("qemu-mps2-an500", "qemu-system-arm")):
        result = trainbench(
            "run", "people-detection", "--backbone", backbone_file, "--target", target, env=environment
        )
        assert_one_sentence(result, program, "apt install")
    assert not (tmp_path / "runs").exists()


def test_targets_lists_what_is_missing_and_how_to_get_it(trainbench: Command, tmp_path: Path) -> None:
    result = trainbench("targets", env={"PATH": str(tmp_path)})
    assert result.returncode == 0
    assert "qemu-mps2-an500" in result.stdout
    assert "qemu-system-arm (emulator): missing; to get it: apt install qemu-system-arm" in result.stdout


def test_a_scheme_that_does_not_fit_the_network_is_one_sentence(
    trainbench: Command, backbone_file: Path
) -> None:
    result = trainbench("compile", backbone_file, "--scheme", "bias-only:500", "--out", "x")
    assert_one_sentence(result, "bias-only:500")


def test_an_error_is_the_same_from_a_process_of_its_own(trainbench_process: Command) -> None:
    assert_one_sentence(trainbench_process("run", "nothing"), "no suite named 'nothing'")


def test_version_and_help(trainbench: Command) -> None:
    assert trainbench("--version").stdout.startswith("trainbench ")
    assert "people" in trainbench("run", "--help").stdout


def test_help_and_targets_load_nothing_heavy() -> None:
    program = (
        "import sys, harness.cli as cli\n"
        "from harness.commands.targets import targets; targets()\n"
        "heavy = {'numpy', 'scipy', 'pandas', 'plotly', 'pyocd', 'skimage', 'rich.progress'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=60)
