"""`trainbench run` on a small network: equal digests on host and emulator, resume, interruption, faults."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engine.autodiff import GRADIENTS
from engine.compiler import DEFAULT_GRADIENT
from harness.results.store import SUFFIX, load_documents

Command = Callable[..., "subprocess.CompletedProcess[str]"]
QEMU = "qemu-mps2-an500"
SUITE = "people-detection"
TRAINBENCH = [sys.executable, "-m", "harness.cli"]
Running = Callable[[], tuple["subprocess.Popen[str]", list[psutil.Process]]]

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(
        shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
        reason="needs qemu-system-arm and arm-none-eabi-gcc",
    ),
]


def arguments(backbone: Path, out: Path, *more: str) -> list[str]:
    chosen = ("--method", "last:3", "--learning-rate", "0.001", "--epochs", "1")
    return ["run", SUITE, "--backbone", str(backbone), "--out", str(out), *chosen, *more]


@pytest.fixture(scope="module")
def finished(backbone_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one method with two seeds on host and emulator."""

    out = tmp_path_factory.mktemp("finished")
    words = arguments(backbone_file, out, "--target", QEMU, "--seed", "0", "--seed", "1")
    subprocess.run([*TRAINBENCH, *words], check=True, capture_output=True, timeout=300)
    return out


def test_all_documents_are_done_and_the_digests_equal(finished: Path) -> None:
    documents = {(run.target, run.seed): run for run in load_documents(finished)}
    assert set(documents) == {(target, seed) for target in ("host", QEMU) for seed in (0, 1)}
    for seed in (0, 1):
        host, device = documents["host", seed], documents[QEMU, seed]
        assert host.status == device.status == "done"
        states = {digest.steps: digest.state for digest in host.digests}
        assert len(device.digests) >= 1
        for digest in device.digests:
            assert digest.steps >= 20
            assert states[digest.steps] == digest.state
        assert device.accuracy == host.accuracy
        assert device.accuracy is not None
        assert device.accuracy.computed_on == "host"
        assert device.notes["accuracy"]
    assert documents["host", 0].digests != documents["host", 1].digests


def test_sram_and_latency_come_with_the_first_seed(finished: Path) -> None:
    documents = {(run.target, run.seed): run for run in load_documents(finished)}
    run = documents[QEMU, 0]
    assert run.sram is not None
    assert run.plan is not None
    assert run.sram.arena_touched <= run.plan.arena_bytes <= run.sram.arena
    assert run.sram.peak == run.sram.static + run.sram.state + run.sram.arena + run.sram.stack
    assert run.step_ticks is not None
    assert run.predict_ticks is not None
    assert len(run.step_ticks.values) == len(run.predict_ticks.values) == 30
    assert run.step_ticks.kind == "simulated"
    assert [entry.operator for entry in run.operator_ticks] == [op.name for op in run.plan.operators]
    profiled = sum(entry.ticks for entry in run.operator_ticks)
    assert profiled == pytest.approx(sorted(run.step_ticks.values)[15], rel=0.2)
    assert documents[QEMU, 1].step_ticks is None


def test_every_figure_has_a_provenance(finished: Path) -> None:
    for run in load_documents(finished):
        origin = run.provenance
        for text in (
            *(origin.toolchain, origin.model_digest, origin.dataset_digest, origin.elf_digest),
            *(origin.plan_digest, origin.host, origin.python, origin.trainbench_version),
        ):
            assert text
        assert origin.compiler_flags
        assert origin.duration_seconds > 0
    emulated = next(run for run in load_documents(finished) if run.target == QEMU)
    assert {"qemu", "pyocd", "numpy"} <= set(emulated.provenance.versions)


def test_the_report_and_the_figures_come_of_the_documents(finished: Path, trainbench: Command) -> None:
    assert (finished / "report.html").stat().st_size > 10_000
    result = trainbench("figures", finished)
    assert result.returncode == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    columns = ("method", "target", "figure", "kind", "unit", "value", "low", "high", "computed_on")
    assert tuple(rows[0]) == columns
    found = {row["figure"] for row in rows if row["target"] == QEMU}
    assert found >= {
        *("peak_sram", "static", "state", "arena", "arena_touched", "stack", "flash"),
        *("step_ticks", "predict_ticks", "accuracy_before", "accuracy_after", "state_digest"),
    }
    digests = {row["value"] for row in rows if row["figure"] == "state_digest"}
    assert len(digests) == 1


def test_a_second_run_keeps_what_is_finished(
    finished: Path, backbone_file: Path, trainbench: Command, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    times = {path: path.stat().st_mtime_ns for path in out.glob(f"*{SUFFIX}")}
    removed = out / sorted(path.name for path in times if "__host__" in path.name)[0]
    removed.unlink()
    words = arguments(backbone_file, out, "--target", QEMU, "--seed", "0", "--seed", "1")
    result = trainbench(*words)
    assert result.returncode == 0, result.stderr
    assert "3 finished cells are kept" in result.stderr
    assert removed.is_file()
    for path, changed in times.items():
        assert path == removed or path.stat().st_mtime_ns == changed


def test_other_inputs_are_run_again(
    finished: Path, backbone_file: Path, trainbench: Command, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    words = arguments(backbone_file, out, "--target", QEMU, "--seed", "0", "--seed", "1")
    result = trainbench(*words, "--rounding", "nearest")
    assert result.returncode == 0, result.stderr
    assert "kept" not in result.stderr
    assert {run.scheme.rounding for run in load_documents(out)} == {"nearest"}


def test_documents_of_other_options_may_not_stay_beside_a_run(
    finished: Path, backbone_file: Path, trainbench: Command, tmp_path: Path
) -> None:
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    before = {path: path.read_bytes() for path in out.glob(f"*{SUFFIX}")}
    words = arguments(backbone_file, out, "--target", "host", "--seed", "0", "--rounding", "nearest")
    result = trainbench(*words)
    assert result.returncode == 2
    (line,) = result.stderr.strip().splitlines()
    assert "stochastic rounding" in line and "nearest rounding" in line and "another --out" in line
    assert {path: path.read_bytes() for path in out.glob(f"*{SUFFIX}")} == before


def test_the_gradient_format_is_an_override_and_told(
    finished: Path, backbone_file: Path, trainbench: Command, tmp_path: Path
) -> None:
    assert {run.scheme.gradient for run in load_documents(finished)} == {DEFAULT_GRADIENT}
    other = next(name for name in GRADIENTS if name != DEFAULT_GRADIENT)
    out = tmp_path / "out"
    words = arguments(backbone_file, out, "--target", "host", "--seed", "0", "--gradient", other)
    result = trainbench(*words)
    assert result.returncode == 0, result.stderr
    assert {run.scheme.gradient for run in load_documents(out)} == {other}


def test_a_budget_that_is_too_small_fails_in_one_sentence(
    backbone_file: Path, trainbench: Command, tmp_path: Path
) -> None:
    result = trainbench(
        *arguments(backbone_file, tmp_path / "out", "--target", QEMU, "--seed", "0"),
        *("--sram-budget", "12288"),
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert QEMU in last
    assert "budget" in last
    failed = next(run for run in load_documents(tmp_path / "out") if run.target == QEMU)
    assert failed.status == "failed"
    assert failed.sram is failed.step_ticks is failed.accuracy is None


@pytest.fixture
def running(backbone_file: Path, tmp_path: Path) -> Running:
    """Start a run that takes minutes; returns it and its processes once its emulator computes."""

    def start() -> tuple[subprocess.Popen[str], list[psutil.Process]]:
        words = arguments(
            backbone_file, tmp_path / "out", "--target", QEMU, "--seed", "0", "--steps", "20000"
        )
        words[words.index("--epochs") + 1] = "20000"
        process = subprocess.Popen(
            [*TRAINBENCH, *words, "--jobs", "2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        end = time.monotonic() + 120
        while time.monotonic() < end and process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            names = [name_of(member) for member in family]
            if any("qemu" in name for name in names) and any("firmware" in name for name in names):
                time.sleep(0.5)
                return process, psutil.Process(process.pid).children(recursive=True)
            time.sleep(0.05)
        process.kill()
        raise AssertionError(f"the run did not get to its emulator: {process.communicate()}")

    return start


def name_of(process: psutil.Process) -> str:
    """Empty for one that has ended."""
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return ""


def assert_nothing_left(family: list[psutil.Process], out: Path) -> None:
    _, alive = psutil.wait_procs(family, timeout=20)
    assert [name_of(member) for member in alive] == []
    assert [path.name for path in out.glob("**/*.tmp")] == []
    for path in out.glob(f"*{SUFFIX}"):
        json.loads(path.read_text())


def test_an_interrupted_run_leaves_nothing_behind(
    running: Running, backbone_file: Path, trainbench: Command, tmp_path: Path
) -> None:
    process, family = running()
    second = trainbench(*arguments(backbone_file, tmp_path / "out", "--target", "host"))
    assert second.returncode == 2
    assert "another trainbench" in second.stderr

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "finished cells are kept" in errors.strip().splitlines()[-1]
    assert_nothing_left(family, tmp_path / "out")
    assert not list((tmp_path / "out").glob(f"*{SUFFIX}"))


def test_a_killed_run_leaves_nothing_behind(running: Running, tmp_path: Path) -> None:
    process, family = running()
    process.kill()
    process.communicate(timeout=30)
    assert_nothing_left(family, tmp_path / "out")


def test_a_killed_emulator_fails_its_cell_in_one_sentence(running: Running, tmp_path: Path) -> None:
    process, family = running()
    for member in family:
        if "qemu" in name_of(member):
            member.kill()
    end = time.monotonic() + 30
    while time.monotonic() < end and not list((tmp_path / "out").glob(f"*{SUFFIX}")):
        time.sleep(0.05)
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert_nothing_left(family, tmp_path / "out")
    (document,) = load_documents(tmp_path / "out")
    assert (document.target, document.status) == (QEMU, "failed")
    assert "SIGKILL" in document.reason
    assert document.reason in errors.replace("\n", " ")
