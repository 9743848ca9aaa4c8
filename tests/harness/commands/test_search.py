"""`trainbench search` on a network of three convolutions: what it writes, and going on after any end."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.frontends import load_backbone
from engine.schemes import check_scheme, read_scheme

Command = Callable[..., "subprocess.CompletedProcess[str]"]

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
SECONDS = 300.0


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all: the kernels in it are compiled once."""
    return tmp_path_factory.mktemp("search") / "out"


def words(tiny_file: Path, out: Path, *more: str) -> list[str]:
    return [
        *(
            "search",
            str(tiny_file),
            "--dataset",
            "lfw",
            "--budget",
            "1KB",
            "--layers",
            "all",
            "--out",
            str(out),
        ),
        *("--epochs", "1", "--seeds", "1", "--folds", "1", "--learning-rates", "1e-3", "--evaluations", "60"),
        *more,
    ]


def result(out: Path) -> dict[str, object]:
    """What has to be the same whenever the same is asked for."""
    document = json.loads((out / "search.json").read_text())
    del document["provenance"]
    scheme = [line for line in (out / "scheme.toml").read_text().splitlines() if "revision" not in line]
    return {"search": document, "scheme": scheme, "trials": (out / "evaluations.csv").read_text()}


def forget(out: Path) -> None:
    """Remove all but the compiled kernels."""
    for path in out.iterdir():
        if path.name != "build":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def trials(out: Path) -> int:
    return len(list((out / "trials").glob("*.json")))


def start_and_wait_for_trials(arguments: list[str], out: Path, count: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until = time.monotonic() + SECONDS
    while trials(out) < count:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.02)
    return process


def end(process: subprocess.Popen[bytes], number: int) -> tuple[int, list[psutil.Process]]:
    """Send the signal; the exit code, and what of its children is left."""
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    os.kill(process.pid, number)
    code = process.wait(SECONDS)
    _, alive = psutil.wait_procs(children, timeout=60)
    return code, alive


@needs_compiler
def test_a_search_killed_half_way_resumes_to_the_same_result(
    tiny_file: Path, out: Path, trainbench: Command
) -> None:
    done = trainbench(*words(tiny_file, out, "--parallel", "2"))
    assert done.returncode == 0, done.stderr
    expected, count = result(out), trials(out)
    assert count >= 16
    forget(out)

    killed = start_and_wait_for_trials(words(tiny_file, out, "--parallel", "2"), out, 5)
    assert end(killed, signal.SIGKILL) == (-signal.SIGKILL, [])
    assert 5 <= trials(out) < count
    interrupted = start_and_wait_for_trials(words(tiny_file, out, "--parallel", "1"), out, trials(out) + 2)
    code, alive = end(interrupted, signal.SIGINT)
    assert (code, alive) == (130, [])
    assert interrupted.stderr is not None
    assert b"the same --out goes on" in interrupted.stderr.read()
    kept = trials(out)
    assert kept < count
    assert not list(out.rglob("*.tmp"))

    resumed = trainbench(*words(tiny_file, out, "--parallel", "1"))
    assert resumed.returncode == 0, resumed.stderr
    assert "of them kept from before" in resumed.stderr
    assert result(out) == expected
    assert resumed.stdout == done.stdout


@needs_compiler
def test_what_it_writes(tiny_file: Path, out: Path, trainbench: Command) -> None:
    done = trainbench(*words(tiny_file, out, "--compare", "full", "--cost", "sram", "--budget", "3KB"))
    assert done.returncode == 0, done.stderr
    for name in (
        "evolution",
        "random",
        "full",
        "last-layer",
        "the test part was not used",
        "No scheme within",
    ):
        assert name in done.stdout
    document = json.loads((out / "search.json").read_text())
    chosen = next(candidate for candidate in document["candidates"] if candidate["chosen"])
    assert chosen["cost"] == chosen["planned_peak"] <= 3072
    assert len(document["parts"]) == 15
    backbone = load_backbone(tiny_file)
    scheme = read_scheme(out / "scheme.toml")
    check_scheme(scheme, backbone)
    assert scheme.bias_last == chosen["trained"]["bias_last"]
    assert [list(part) for part in scheme.weights] == chosen["trained"]["weights"]
    text = (out / "scheme.toml").read_text()
    for word in (document["dataset_digest"], document["model_digest"], "seed 0", "3072 bytes (sram)"):
        assert word in text
    with (out / "evaluations.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["status"] for row in rows} == {"done"}
    assert all(0 <= float(row["accuracy"]) <= 1 and row["held_out_images"] == "40" for row in rows)
    page = (out / "search.html").read_text()
    assert "tiny: scheme within 3" in page
    assert 'id="figures"' in page
    assert "src=" not in page.partition("<style>")[0]


@needs_compiler
def test_freezing_ends_with_what_remains(tiny_file: Path, out: Path, trainbench: Command) -> None:
    done = trainbench(*words(tiny_file, out, "--method", "freeze", "--order", "memory", "--threshold", "5"))
    assert done.returncode == 0, done.stderr
    document = json.loads((out / "search.json").read_text())
    chosen = next(candidate for candidate in document["candidates"] if candidate["chosen"])
    assert chosen["trained"]["bias_last"] == 0
    assert [step["kept"] for step in document["freezing"]] == [True] * 6
    again = trainbench(*words(tiny_file, out, "--method", "freeze", "--order", "greedy", "--threshold", "0"))
    assert again.returncode == 0, again.stderr
    assert "everything" in again.stdout


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--budget", "100"), "the smallest possible, the classifier alone, needs"),
        (("--budget", "lots"), "a budget of 'lots'"),
        (("--cost", "time"), "no cost named 'time'; there are: analytic, sram"),
        (("--method", "magic"), "no method named 'magic'"),
        (("--measure", "luck"), "no measure named 'luck'"),
        (("--layers", "odd"), "layers 'odd'"),
        (("--learning-rates", "1e-3,-1"), "--learning-rates"),
        (("--target", "moon"), "no target named 'moon'"),
        (("--target", "host"), "target host is no microcontroller"),
        (("--compare", "nothing"), "no scheme named 'nothing'"),
        (("--compare", "BROKEN.toml"), "BROKEN.toml is not valid TOML"),
        (("--compare", "unknown.toml"), "convolution 99"),
        (("--dataset", "lfw", "--folds", "500"), "too few for 500 folds"),
        (("--scheduler", "tcp://127.0.0.1:1"), "Dask"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    tiny_file: Path,
    tmp_path: Path,
    trainbench: Command,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    message: str,
) -> None:
    (tmp_path / "BROKEN.toml").write_text("[bias\n")
    (tmp_path / "unknown.toml").write_text("[weights]\n99 = 0.5\n")
    monkeypatch.setattr("harness.search.dask_pool.CONNECT_SECONDS", 1.0)
    failed = trainbench(*words(tiny_file, tmp_path / "out", "--budget", "1KB", "--cost", "sram", *more))
    assert failed.returncode == 2
    assert failed.stdout == ""
    (line,) = failed.stderr.strip().splitlines()
    assert message in line
    assert sys.executable not in line
