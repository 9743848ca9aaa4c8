"""`trainbench bench overhead` on a small network: a whole job is timed, and its parts add up to it."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
TARGET = "qemu-mps2-an500"


@pytest.mark.emulator
@pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)
def test_where_the_seconds_of_a_cell_go(trainbench: Command, backbone_file: Path, tmp_path: Path) -> None:
    result = trainbench(
        *("bench", "overhead", "-t", TARGET, "-m", "last:3", "--steps", "30", "--csv"),
        *("--backbone", backbone_file),
    )
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(io.StringIO(result.stdout))
    seconds = {clock: rows.set_index("what").seconds for clock, rows in table.groupby("clock")}
    wall, processor = seconds["wall"], seconds["processor"]
    assert {"dataset is loaded", "device is opened", "firmware is loaded and read back"} < set(wall.index)
    assert (wall > 0).all()
    assert (processor > 0).all()
    assert wall["all"] == pytest.approx(wall.drop("all").sum(), abs=1e-4)
    # Nothing that the emulator does alone can take less time than its processor needs for it.
    assert wall["all"] > processor["emulator executes"]
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_is_no_emulator_is_refused(trainbench: Command, backbone_file: Path) -> None:
    result = trainbench("bench", "overhead", "-t", "host", "-m", "last:3", "--backbone", backbone_file)
    assert result.returncode == 2
    assert "host is no emulator" in result.stderr.splitlines()[-1]
