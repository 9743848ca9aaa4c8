"""`trainbench run` for the paper's suites: what is refused, what is not run, and a small run as a whole."""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.frontends import load_backbone
from engine.schemes import network_shape
from fixtures.paper import Network, find_network
from harness.paper import request as paper_request
from harness.paper import suite as paper_suite
from harness.results.paper import load_paper, load_runs

Command = Callable[..., "subprocess.CompletedProcess[str]"]

SUITE = """
title = "A small suite"
description = "For a test."
networks = ["mcunet-5fps"]
tables = ["Table 5"]

[cost]
targets = ["qemu-mps2-an500"]
classes = 2

[accuracy]
datasets = [{ name = "vww", title = "VWW" }]
epochs = 2
warmup_epochs = 0
learning_rates = [1e-3]
seeds = 1

[reduced]
sample = "40/20/40"
epochs = 1
warmup_epochs = 0
seeds = 1

[[methods]]
name = "no-accumulation"
scheme = "last:2"

[[methods]]
name = "accumulation"
scheme = "last:2"
accumulate = 4

[[methods]]
name = "int8-classifier"
unable = "nobody can"

[[orders]]
title = "Accumulation"
table = "Table 5"
"""

needs_emulator = [
    pytest.mark.emulator,
    pytest.mark.skipif(
        shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
        reason="needs qemu-system-arm and arm-none-eabi-gcc",
    ),
]


def only_error(result: subprocess.CompletedProcess[str]) -> str:
    """The one sentence on stderr; fails unless it is one and the exit code 2."""
    assert result.returncode == 2, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("trainbench: ")]
    assert "Traceback" not in result.stderr
    return line


def test_without_data_all_is_listed_as_not_run(trainbench: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = trainbench("run", "paper-latency", "--out", out)
    assert result.returncode == 0, result.stderr
    assert "7 cells not run: it needs --data FOLDER with mcunet-5fps.pkl" in result.stdout
    document = load_paper(out)
    assert {line.status for line in document.lines} == {"not-run"}
    assert "No cell was run" in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["paper-memory", "--backbone", "x.npz"], "takes no --backbone"),
        (["paper-memory", "--learning-rate", "0.1"], "takes no --learning-rate"),
        (["paper-memory", "--seed", "0"], "takes no --seed"),
        (["paper-memory", "--dataset", "vww=lfw"], "takes no --dataset"),
        (["paper-qas", "--dataset", "lfw"], "--dataset takes NAME=SPEC"),
        (["paper-qas", "--dataset", "mnist=lfw"], "no dataset named 'mnist'"),
        (["paper-memory", "--data", "nowhere"], "--data nowhere is not a folder"),
        (["people-detection", "--data", "."], "suite people-detection takes no --data"),
        (["people-detection", "--reduced"], "suite people-detection takes no --reduced"),
        (["people-detection", "--dataset", "lfw", "--dataset", "lfw"], "takes one --dataset, not 2"),
        (["nothing"], "paper-memory"),
    ],
)
def test_options_that_mean_nothing_there_are_refused(
    trainbench: Command, arguments: list[str], problem: str
) -> None:
    assert problem in only_error(trainbench("run", *arguments))


@pytest.fixture
def small_paper(backbone_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite `paper-small` whose MCUNet is the small network; the folder with its file."""
    root, data = tmp_path / "suites", tmp_path / "data"
    (root / "paper_small").mkdir(parents=True)
    (root / "paper_small" / "paper.toml").write_text(SUITE, encoding="utf-8")
    data.mkdir()
    shutil.copy(backbone_file, data / "small.npz")
    convolutions, weights = network_shape(load_backbone(backbone_file))
    fields = find_network("mcunet-5fps").model_dump()
    shape = {"file": "small.npz", "convolutions": convolutions, "convolution_weights": weights}
    small = Network.model_validate({**fields, **shape})
    monkeypatch.setattr(paper_request, "find_network", lambda name: small)
    loaded = paper_suite.load_paper_suite("paper-small", root)
    monkeypatch.setattr(paper_suite, "paper_suite_names", lambda: ["paper-small"])
    monkeypatch.setattr(paper_suite, "load_paper_suite", lambda name: loaded)
    return data


@needs_emulator[0]
@needs_emulator[1]
def test_a_small_suite_from_end_to_end(small_paper: Path, trainbench: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("run", "paper-small", "--data", small_paper, "--dataset", "vww=lfw", "--out", out, "--reduced")
    result = trainbench(*words)
    assert result.returncode == 0, result.stderr
    document = load_paper(out)
    done = {(line.method, line.dataset, line.figure): line for line in document.lines if line.own}
    peak = done["accumulation", "", "peak_sram"]
    assert peak.own is not None and peak.published is not None and peak.difference is not None
    assert (peak.own.kind, peak.own.target) == ("measured", "qemu-mps2-an500")
    assert peak.published.place == "Table 5, row gradient accumulation, column SRAM"
    ticks = done["accumulation", "", "step_ticks"].own
    assert ticks is not None and (ticks.kind, ticks.unit) == ("simulated", "instructions")
    accuracy = done["accumulation", "vww", "accuracy_after"].own
    assert accuracy is not None and accuracy.low is not None
    assert (
        accuracy.note
        == document.reduced
        == "reduced: 60 training images, 0 + 1 epochs, 1 seed, tested on 40 images"
    )
    (order,) = document.orders
    assert [entry.method for entry in order.ranked] == ["accumulation", "no-accumulation"]
    assert {line.reason for line in document.lines if line.method == "int8-classifier"} == {"nobody can"}
    assert any("not the file the authors released" in remark for remark in document.remarks)
    assert len(load_runs(out, document)) == 2 + 2
    with (out / "paper.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(document.lines)
    (row,) = [row for row in rows if (row["method"], row["figure"]) == ("accumulation", "peak_sram")]
    assert float(row["difference"]) == pytest.approx(peak.difference)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert document.reduced in page and "nobody can" in page

    again = trainbench(*words)
    assert again.returncode == 0, again.stderr
    assert load_paper(out) == document
    assert "compile and build" not in again.stderr


def test_a_file_of_another_network_is_refused(
    small_paper: Path, trainbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {**find_network("mcunet-5fps").model_dump(), "file": "small.npz"}
    monkeypatch.setattr(paper_request, "find_network", lambda name: Network.model_validate(fields))
    message = only_error(trainbench("run", "paper-small", "--data", small_paper))
    assert "is not MCUNet-5FPS: it has" in message
    assert "not 42 with 463216" in message
