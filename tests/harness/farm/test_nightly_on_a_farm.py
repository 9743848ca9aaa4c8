"""A nightly over emulated boards behind a real coordinator; exporters, clients and itself are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from harness.deadline import Deadline
from harness.devices.process import ChildProcess
from harness.farm.hold import list_places
from harness.nightly.document import NightlyDocument, load_nightly
from harness.results.document import RunDocument
from harness.results.store import SUFFIX
from harness.results.tree import load_tree

QEMU = "qemu-mps2-an500"
SECONDS = 900.0
Exporter = Callable[..., ChildProcess]

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc"),
]


@dataclass(frozen=True)
class Case:
    """A plan for `trainbench nightly`, and where its results go."""

    plan: Path
    out: Path
    coordinator: str
    cells: int

    def command(self, *more: str) -> list[str]:
        return [sys.executable, "-m", "harness.cli", "nightly", str(self.plan), "--out", str(self.out), *more]

    @property
    def folder(self) -> Path:
        (folder,) = [path for path in self.out.iterdir() if path.is_dir()]
        return folder

    def stored(self) -> int:
        """Run documents of the farm's boards so far."""
        return len(list(self.out.glob(f"*/*/*__{QEMU}__*{SUFFIX}")))

    def nightly(self) -> NightlyDocument:
        return load_nightly(self.folder)

    def documents(self) -> list[RunDocument]:
        return [run for run in load_tree(self.folder) if run.target == QEMU]

    def free(self) -> bool:
        return not any(place.holder for place in list_places(self.coordinator))


def case_of(tmp_path: Path, coordinator: str, backbone: Path, methods: list[str], seeds: int) -> Case:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        f"""
title = "Emulated boards"
coordinator = "{coordinator}"
place_wait_seconds = 300
[[suites]]
suite = "people-detection"
targets = ["farm:target={QEMU}"]
methods = {json.dumps(methods)}
learning_rate = 0.001
epochs = 1
seeds = {list(range(seeds))}
backbone = "{backbone}"
"""
    )
    return Case(plan, tmp_path / "out", coordinator, 2 * len(methods) * seeds)


@contextmanager
def running(case: Case, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as stream:
        process = subprocess.Popen(case.command(), stdout=stream, stderr=stream)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_until(what: Callable[[], bool], doing: str, log: Path, seconds: float = SECONDS) -> None:
    deadline = Deadline.after(seconds)
    while not what():
        assert not deadline.expired, f"{doing}: {log.read_text()[-3000:]}"
        time.sleep(0.2)


def guards() -> list[psutil.Process]:
    """Guards with a place, of whatever nightly runs."""
    found = []
    for process in psutil.process_iter():
        try:
            if "harness.farm.guard" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def check_finished(case: Case) -> list[RunDocument]:
    """Every cell is done, and all that was left to be given back was."""
    nightly = case.nightly()
    assert nightly.finished is not None
    assert (nightly.exit_code, nightly.outcome) == (0, f"{case.cells} cells, nothing to compare with")
    assert nightly.entries[0].done == case.cells
    documents = case.documents()
    assert len(documents) == case.cells // 2
    for run in documents:
        assert run.status == "done"
        assert run.accuracy is not None
        assert "state after" in run.notes["accuracy"]
    deadline = Deadline.after(60)
    while not case.free():
        deadline.check("waiting until nothing is acquired")
        time.sleep(0.2)
    return documents


def test_a_nightly_that_is_killed_goes_on(
    coordinator: str, exporter: Exporter, backbone_file: Path, tmp_path: Path
) -> None:
    exporter("small", boards=2)
    case = case_of(tmp_path, coordinator, backbone_file, ["last:3"], seeds=6)
    log = tmp_path / "log"
    with running(case, log) as process:
        wait_until(lambda: case.stored() >= 1, "waiting for a result", log)
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(case.free, "waiting until nothing is acquired", log, 60)
    assert case.nightly().finished is None

    completed = subprocess.run(case.command(), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert completed.returncode == 0, completed.stderr
    documents = check_finished(case)
    assert case.nightly().entries[0].kept >= 1
    assert {run.provenance.versions["farm_place"] for run in documents} == {"small-0", "small-1"}
    assert {run.provenance.versions["farm_exporter"] for run in documents} == {"small"}

    again = subprocess.run(
        case.command("--base", str(case.folder)), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert again.returncode == 0, again.stderr
    assert case.nightly().entries[0].kept == case.cells
    comparison = json.loads((case.folder / "compare.json").read_text())
    assert {change["verdict"] for change in comparison["changes"]} == {"unchanged"}
    root = ElementTree.parse(case.folder / "junit.xml").getroot()
    assert root[0].get("tests") == str(case.cells)
    assert {suite.get("failures") for suite in root} == {"0"}
    assert "passed" in (case.folder / "summary.md").read_text().splitlines()[0]
    assert (case.folder / "people-detection" / "report.html").is_file()


@pytest.mark.slow
def test_forty_cells_while_an_exporter_and_a_client_are_killed(
    coordinator: str, exporter: Exporter, backbone_file: Path, tmp_path: Path
) -> None:
    left, _ = exporter("left", boards=2), exporter("right", boards=2)
    case = case_of(tmp_path, coordinator, backbone_file, ["last:3", "bias-only:2"], seeds=20)
    assert case.cells // 2 >= 40
    log = tmp_path / "log"
    with running(case, log) as process:
        ours = psutil.Process(process.pid)

        def held() -> int:
            return sum(bool(place.holder) for place in list_places(coordinator))

        wait_until(lambda: case.stored() >= 4 and held() >= 3, "waiting for the first results", log)
        os.kill(left.pid, signal.SIGKILL)
        seen = case.stored()
        wait_until(
            lambda: case.stored() >= seen + 3 and len(guards()) >= 2, "waiting without the exporter", log
        )
        client = next(g.parent() for g in guards() if g.parent() is not None and g.parent().pid != ours.pid)
        assert client is not None
        client.kill()
        seen = case.stored()
        wait_until(lambda: case.stored() >= seen + 3, "waiting after a client was killed", log)
        exporter("left", boards=2)
        wait_until(lambda: process.poll() is not None, "waiting for the end", log)
        assert process.returncode == 0, log.read_text()[-3000:]
    documents = check_finished(case)
    places = {run.provenance.versions["farm_place"] for run in documents}
    assert places == {"left-0", "left-1", "right-0", "right-1"}
    retried = [attempt.error for run in documents for attempt in run.retries]
    assert any("died with exit code -9" in error for error in retried), retried
    assert any("died" not in error for error in retried), retried
    assert case.nightly().entries[0].unstable == sum(bool(run.retries) for run in documents)
