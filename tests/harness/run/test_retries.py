"""What a run does with cells whose process is killed, whose device goes away, and whose trainer faults."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from flaky_cells import flaky

from harness.run import runner
from harness.run.request import Overrides, make_request

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")


class Silent:
    """A watcher that watches nothing."""

    def stage(self, title: str, jobs: object) -> None: ...

    def started(self, job: str) -> None: ...

    def progress(self, job: str, done: int, total: int) -> None: ...

    def finished(self, job: str, outcome: str) -> None: ...

    def kept(self, cells: int) -> None: ...


def test_transport_errors_are_tried_again_and_recorded(
    tmp_path: Path, backbone_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = make_request(
        "people-detection",
        Overrides(
            targets=("host",),
            methods=("last:2",),
            seeds=(0, 1, 2, 3),
            backbone=backbone_file,
            learning_rate=0.001,
            epochs=1,
            out=tmp_path / "out",
            retries=2,
        ),
    )
    monkeypatch.setattr(runner, "run_cell", partial(flaky, tmp_path))
    unprofiled = replace(request, profile=False)
    found = {run.seed: run for run in runner.run_suite(unprofiled, Silent())}

    assert [(run.status, run.failure) for run in found.values()] == [
        ("done", ""),
        ("failed", "infrastructure"),
        ("failed", "trainer"),
        ("done", ""),
    ]
    assert [len(run.retries) for run in found.values()] == [2, 2, 0, 0]
    assert "exit code -9" in found[0].retries[0].error
    assert found[0].retries[1].error == "the cable"
    assert [each.recovery for each in found[0].retries] == ["", "the power of board b was cycled"]
    assert found[1].reason == "the cable; the power of board b was cycled"
    assert found[2].reason == "it divided by zero"
    assert {seed: len(list(tmp_path.glob(f"attempt-{seed}-*"))) for seed in found} == {0: 3, 1: 3, 2: 1, 3: 1}
