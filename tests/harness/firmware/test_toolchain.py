"""A missing compiler is named with the package that brings it."""

from pathlib import Path

import pytest

from harness.errors import ToolMissingError, UsageError
from harness.firmware.toolchain import find_compiler
from harness.targets import load_target


def test_default_is_the_targets_first() -> None:
    target = load_target("qemu-mps2-an500")
    found = find_compiler(target)
    assert found.name == target.toolchain.compilers[0] == "arm-none-eabi-gcc"
    assert found.path.is_file()
    assert found.version.startswith("arm-none-eabi-gcc")


def test_compiler_the_target_does_not_take() -> None:
    with pytest.raises(UsageError, match="'clang'; it takes arm-none-eabi-gcc"):
        find_compiler(load_target("qemu-mps2-an500"), "clang")


def test_missing_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="apt install gcc-arm-none-eabi libnewlib-arm-none-eabi"):
        find_compiler(load_target("qemu-mps2-an500"))


def fake_compiler(folder: Path, script: str) -> None:
    program = folder / "arm-none-eabi-gcc"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_missing_c_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_compiler(tmp_path, "echo libc.a")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="its C library is not"):
        find_compiler(load_target("qemu-mps2-an500"))


def test_compiler_that_does_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake_compiler(tmp_path, "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="does not work"):
        find_compiler(load_target("qemu-mps2-an500"))
