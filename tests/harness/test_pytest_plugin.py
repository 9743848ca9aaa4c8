"""The plugin as pytest sees it: harmless without --target, the suites with it."""

from __future__ import annotations

import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SUITE = Path(__file__).parents[2] / "suites" / "people_detection"
NETWORKS = Path(__file__).parents[1] / "engine" / "small_networks.py"


def test_an_unrelated_project_runs_as_ever(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): assert True")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    assert "trainbench" not in result.stdout.str().replace("plugins: ", "").split("collected")[1]


def test_options_that_others_have_taken_stay_theirs(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        def pytest_addoption(parser):
            parser.addoption("--target", default="theirs")
            parser.getgroup("x").addoption("--suite", default="their suite")
        """
    )
    pytester.makepyfile(
        """
        def test_it(request):
            assert request.config.getoption("--target") == "moon"
            assert request.config.getoption("--suite") == "their suite"
            assert request.config.getoption("trainbench_target") is None
        """
    )
    pytester.runpytest_subprocess("--target", "moon").assert_outcomes(passed=1)
    refused = pytester.runpytest_subprocess("--trainbench-target", "moon")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR


def test_nothing_heavy_is_loaded_without_a_target(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        def test_it():
            assert not {"numpy", "pyocd", "pydantic", "harness.suite"} & set(sys.modules)
        """
    )
    arguments = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest"]
    assert pytester.run(*arguments).ret == pytest.ExitCode.OK


def test_without_the_emulator_the_suites_skip_with_the_install_line(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = pytester.mkdir("programs")
    (programs / "arm-none-eabi-gcc").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(programs))
    result = pytester.runpytest_subprocess(
        "--target", "renode-stm32f7", "--suite", "people-detection", "-rs", "-p", "no:cacheprovider"
    )
    assert result.parseoutcomes().keys() == {"skipped"}
    result.stdout.fnmatch_lines("*needs renode (emulator)*not installed; to get it: *https://renode.io*")


def test_unknown_names_list_what_exists(pytester: pytest.Pytester) -> None:
    for arguments, words in (
        (("--target", "moon"), "no target named 'moon'; there are: *qemu-mps2-an500*"),
        (("--target", "host", "--suite", "x"), "no suite named 'x'; there are: *people-detection*"),
    ):
        result = pytester.runpytest_subprocess(*arguments)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"*{words}"])


def test_a_target_collects_the_suites_from_any_folder(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_of_somebody_else(): pass")
    result = pytester.runpytest_subprocess("--target", "host", "--collect-only", "-q")
    text = result.stdout.str()
    assert "test_the_method_ran[sparse-49kb]" in text
    assert "somebody_else" not in text


def test_a_suite_module_without_a_target_is_skipped(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(str(SUITE / "test_people_detection.py"), "-q")
    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"skipped"}


SMALL_CONFTEST = """
    import importlib.util, sys
    from pathlib import Path
    import harness.suite as suites
    from engine.frontends.npz_file import write_npz

    spec = importlib.util.spec_from_file_location("small_networks_of_plugin", {networks!r})
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    backbone = Path({folder!r}) / "small.npz"
    write_npz(module.small_backbone(), backbone)

    load = suites.load_suite
    def load_small(name):
        suite = load(name)
        methods = tuple(
            suites.Method(name=method, learning_rate=0.01) for method in ("last-layer", "last:2")
        )
        return suite.model_copy(
            update={{"backbone": str(backbone), "methods": methods, "epochs": 1}}
        )
    suites.load_suite = load_small
"""


@pytest.mark.emulator
@pytest.mark.skipif(
    shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
    reason="needs qemu-system-arm and arm-none-eabi-gcc",
)
def test_figures_are_properties_of_the_junit_xml(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(SMALL_CONFTEST.format(networks=str(NETWORKS), folder=str(pytester.path)))
    result = pytester.runpytest_subprocess(
        *("--target", "qemu-mps2-an500", "--suite", "people-detection"),
        *("--junit-xml", "junit.xml", "-p", "no:cacheprovider"),
        *("--confcutdir", str(pytester.path), "-k", "not learns", "--rootdir", str(pytester.path)),
        *("-p", "conftest"),
    )
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) == outcomes.get("errors", 0) == 0, result.stdout.str()
    assert outcomes["passed"] >= 8
    root = ET.parse(pytester.path / "junit.xml").getroot()
    properties = [
        {entry.get("name"): entry.get("value") for entry in case.iter("property")}
        for case in root.iter("testcase")
        if "test_the_method_ran" in str(case.get("name"))
    ]
    assert {found["method"] for found in properties} == {"last-layer", "last:2"}
    for found in properties:
        assert int(str(found["peak_sram"])) > 0
        assert found["step_ticks.unit"] == "instructions"
        assert found["step_ticks.kind"] == "simulated"
        assert len(str(found["state_digest"])) == 64
