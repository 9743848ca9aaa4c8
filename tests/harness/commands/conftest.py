"""What the tests of the command line share: a small backbone file, and the installed command."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.frontends.npz_file import write_npz

TRAINBENCH = [sys.executable, "-m", "harness.cli"]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def _small_networks() -> object:
    path = Path(__file__).parents[2] / "engine" / "small_networks.py"
    spec = importlib.util.spec_from_file_location("small_networks_for_commands", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of 16x16 pixels whose steps take a fraction of a millisecond."""
    path = tmp_path_factory.mktemp("backbone") / "small.npz"
    write_npz(_small_networks().small_backbone(), path)  # type: ignore[attr-defined]
    return path


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of three convolutions and 5x5 pixels."""
    path = tmp_path_factory.mktemp("backbone") / "tiny.npz"
    write_npz(_small_networks().tiny_backbone(), path)  # type: ignore[attr-defined]
    return path


@pytest.fixture
def trainbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process, in an empty folder; returns the completed run."""
    from harness import cli

    def run(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        words = ["trainbench", *map(str, arguments)]
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", words)
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            capfd.readouterr()
            try:
                code = cli.run_command_line()
            except SystemExit as end:
                code = int(end.code or 0)
            output = capfd.readouterr()
        return subprocess.CompletedProcess(words, code, output.out, output.err)

    return run


@pytest.fixture
def trainbench_process(tmp_path: Path) -> Command:
    """Run the command line in a process of its own, in an empty folder; returns the completed process."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*TRAINBENCH, *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
