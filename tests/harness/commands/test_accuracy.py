"""`trainbench accuracy` on a small network: the table, the files, and going on where it was left."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


def test_a_study_ends_with_a_row_for_each_method_and_is_resumed(
    trainbench: Command, backbone_file: Path, tmp_path: Path
) -> None:
    words = (
        *("accuracy", "people-detection", "--backbone", backbone_file, "--epochs", "1", "--seeds", "2"),
        *("--method", "last-layer", "--method", "last:2", "--learning-rates", "0.01,0.001"),
        *("--out", tmp_path / "study"),
    )
    first = trainbench(*words)
    assert first.returncode == 0, first.stderr
    assert "last:2" in first.stdout
    with (tmp_path / "study" / "accuracy.csv").open() as stream:
        rows = {row["method"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {"last-layer", "last:2"}
    assert rows["last-layer"]["minus_last_layer"] == ""
    low, gain, high = (float(rows["last:2"][key]) for key in ("minus_low", "minus_last_layer", "minus_high"))
    assert low <= gain <= high
    for row in rows.values():
        assert float(row["low"]) <= float(row["accuracy_after"]) <= float(row["high"])
        assert (row["seeds"], row["test_images"]) == ("2", "60")
    assert len(json.loads((tmp_path / "study" / "accuracy.json").read_text())) == 2

    second = trainbench(*words)
    assert second.returncode == 0
    assert "4 finished cells are kept" in second.stderr
    assert "run:" not in second.stderr
    assert second.stdout == first.stdout


def test_gradient_formats_are_compared_paired(
    trainbench: Command, backbone_file: Path, tmp_path: Path
) -> None:
    result = trainbench(
        *("accuracy", "people-detection", "--backbone", backbone_file, "--epochs", "1", "--seeds", "2"),
        *("--method", "last:2", "--gradient", "f32", "--gradient", "i16", "--learning-rates", "0.001"),
        *("--out", tmp_path / "study"),
    )
    assert result.returncode == 0, result.stderr
    assert re.search(r"last:2 i16, i16 − f32: [+−]\d+\.\d \[[+−]\d+\.\d, [+−]\d+\.\d\] points", result.stdout)
    with (tmp_path / "study" / "accuracy.csv").open() as stream:
        first, second = csv.DictReader(stream)
    assert (first["gradient"], second["gradient"]) == ("f32", "i16")
    assert (first["reference"], second["reference"]) == ("", "last:2 f32")
    keys = ("minus_reference_low", "minus_reference", "minus_reference_high")
    low, gain, high = (float(second[key]) for key in keys)
    assert low <= gain <= high
    after = float(second["accuracy_after"]) - float(first["accuracy_after"])
    assert gain == pytest.approx(after)


def test_test_images_play_no_part_in_the_choice(
    trainbench: Command, backbone_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    result = trainbench(
        *("accuracy", "people-detection", "--backbone", backbone_file, "--epochs", "1", "--seeds", "1"),
        *("--method", "last-layer", "--learning-rates", "0.01", "--out", out),
    )
    assert result.returncode == 0, result.stderr
    (selected,) = (json.loads(path.read_text()) for path in (out / "selection").glob("*.run.json"))
    (final,) = (json.loads(path.read_text()) for path in (out / "final").glob("*.run.json"))
    assert selected["accuracy"]["train_images"] == 100
    assert len(selected["accuracy"]["test_labels"]) == 40
    assert final["accuracy"]["train_images"] == 140
    assert len(final["accuracy"]["test_labels"]) == 60
