"""`pytest --target farm:TAG`: the suites on a place of a real coordinator."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.devices.process import ChildProcess
from harness.farm.hold import list_places

pytest_plugins = ["pytester"]

Exporter = Callable[..., ChildProcess]
CONFTEST = """
    from pathlib import Path
    import harness.suite as suites

    load = suites.load_suite
    def load_small(name):
        methods = (suites.Method(name="last:2", learning_rate=0.01),)
        changes = {{"backbone": {backbone!r}, "methods": methods, "epochs": 1}}
        return load(name).model_copy(update=changes)
    suites.load_suite = load_small
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(
        *arguments,
        *("--suite", "people-detection", "-k", "not learns", "-p", "no:cacheprovider", "-p", "conftest"),
        *("--confcutdir", str(pytester.path), "--rootdir", str(pytester.path)),
    )


@pytest.mark.emulator
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_suites_run_on_a_place(
    pytester: pytest.Pytester,
    coordinator: str,
    exporter: Exporter,
    backbone_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exporter("plugin")
    monkeypatch.setenv("LG_COORDINATOR", coordinator)
    pytester.makeconftest(CONFTEST.format(backbone=str(backbone_file)))
    result = run(pytester, "--target", "farm:rack=plugin")
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) == outcomes.get("errors", 0) == 0, result.stdout.str()
    assert outcomes["passed"] >= 4
    assert not any(place.holder for place in list_places(coordinator))

    nowhere = run(pytester, "--target", "farm:rack=nowhere")
    assert nowhere.ret == pytest.ExitCode.TESTS_FAILED
    nowhere.stdout.fnmatch_lines(["*farm:rack=nowhere means no place of the farm*plugin-0*"])


def test_a_selection_that_makes_no_sense(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--target", "farm:Rack!")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*'farm:Rack!' names no places*"])
