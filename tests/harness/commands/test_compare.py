"""`trainbench compare` on stored documents: table, files and exit codes."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.results.document import RunDocument, TickSeries
from harness.results.store import save_document

Command = Callable[..., "subprocess.CompletedProcess[str]"]
MakeRun = Callable[..., RunDocument]


@pytest.fixture
def folders(tmp_path: Path, make_run: MakeRun) -> tuple[Path, Path]:
    """A base and a head whose step takes one instruction more, in folders of folders."""
    found = []
    for name, value in (("base", 1000), ("head", 1001)):
        ticks = TickSeries(unit="instructions", kind="simulated", values=(value,) * 30)
        folder = tmp_path / name
        save_document(folder / "suite", make_run(target="qemu", step_ticks=ticks))
        found.append(folder)
    return found[0], found[1]


def test_a_regression_fails_and_is_named(
    trainbench: Command, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    base, head = folders
    result = trainbench("compare", base, head, "--json", tmp_path / "c.json", "--csv", tmp_path / "c.csv")
    assert result.returncode == 1, result.stderr
    assert "regression" in result.stdout
    assert "step_ticks" in result.stdout
    assert "s: m on qemu, seed 0" in result.stdout
    document = json.loads((tmp_path / "c.json").read_text())
    assert document["exit_code"] == 1
    assert [change["verdict"] for change in document["changes"]] == ["regression"]
    rows = list(csv.DictReader((tmp_path / "c.csv").open()))
    assert [(row["figure"], row["base"], row["head"]) for row in rows] == [("step_ticks", "1000", "1001")]


def test_the_same_and_better_pass(trainbench: Command, folders: tuple[Path, Path]) -> None:
    base, head = folders
    assert trainbench("compare", base, base).returncode == 0
    assert trainbench("compare", head, base).returncode == 0


def test_a_run_that_measured_nothing_fails_as_such(
    trainbench: Command, folders: tuple[Path, Path], tmp_path: Path, make_run: MakeRun
) -> None:
    failed = make_run(target="qemu", status="failed", reason="the emulator ended", failure="infrastructure")
    save_document(tmp_path / "nothing", failed)
    result = trainbench("compare", folders[0], tmp_path / "nothing")
    assert result.returncode == 3
    assert "not measured" in result.stdout
    assert "the emulator ended" in result.stdout


def test_no_results_are_a_usage_error(trainbench: Command, tmp_path: Path) -> None:
    result = trainbench("compare", tmp_path / "no", tmp_path / "no")
    assert result.returncode == 2
    assert "is not a folder" in result.stderr
