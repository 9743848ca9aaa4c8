"""pytest plugin: `pytest --target NAME` runs the suites on that target. Without --target it does nothing.

It is loaded into every pytest run of the environment it is installed in. So nothing heavy is imported here,
and an option whose name another plugin has taken is left to it (`--trainbench-target` always works).

For the suites' own test modules it offers the fixtures `run_document` (one for each method of the suite),
`reference_document` and `record_figures`. What the paper's suites need is in `harness.paper.plugin`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.results.document import RunDocument
    from harness.suite import Suite

pytest_plugins = ("harness.paper.plugin",)

_TARGET = "trainbench_target"
_SUITE = "trainbench_suite"
_OUT = "trainbench_out"


@dataclass(frozen=True)
class SuiteRun:
    """The documents of one suite, for the target under test and the reference, by (target, method)."""

    suite: Suite
    target: str
    documents: dict[tuple[str, str], RunDocument]


_RUNS = pytest.StashKey[dict[str, "SuiteRun | str"]]()
"""By suite: its run, or why there is none."""


@pytest.hookimpl(trylast=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> None:
    """Add the options when all other plugins have added theirs, so that a taken name is seen."""
    group = parser.getgroup("trainbench", "trainbench: benchmark suites on a target")
    options: list[tuple[str, str, str, str]] = [
        ("--target", _TARGET, "NAME", "run the suites on this target, such as qemu-mps2-an500"),
        ("--trainbench-target", _TARGET, "NAME", "the same as --target"),
        ("--suite", _SUITE, "NAME", "with --target: run this suite only"),
        (
            "--trainbench-out",
            _OUT,
            "DIR",
            "with --target: keep the results here, and run only what is missing",
        ),
    ]
    for flag, destination, metavar, text in options:
        try:
            group.addoption(flag, dest=destination, metavar=metavar, default=None, help=text)
        except (ValueError, argparse.ArgumentError):
            continue


def pytest_configure(config: pytest.Config) -> None:
    """With a target and no paths on the command line, the suites' modules are what is collected."""
    target = config.getoption(_TARGET, None)
    if target is None:
        return
    from harness.errors import HarnessError
    from harness.farm.selection import Selection, is_farm
    from harness.paper.plugin import DATA
    from harness.paper.suite import load_paper_suite, paper_suite_names
    from harness.suite import load_suite, suite_names
    from harness.targets import load_target

    wanted = config.getoption(_SUITE, None)
    ordinary = suite_names()
    # Without data every cell of the paper's suites would be skipped.
    names = [*ordinary, *(paper_suite_names() if config.getoption(DATA, None) else [])]
    try:
        if is_farm(target):
            Selection.parse(target)
        else:
            load_target(target)
        suites = [
            load_suite(name) if name in ordinary else load_paper_suite(name)
            for name in ([wanted] if wanted else names)
        ]
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[_RUNS] = {}
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = [str(suite.test_module) for suite in suites]


def pytest_report_header(config: pytest.Config) -> str | None:
    target = config.getoption(_TARGET, None)
    return None if target is None else f"trainbench target: {target}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a default method of the suite whose folder the module is in."""
    module = metafunc.definition.path
    if "suite_method" in metafunc.fixturenames and (module.parent / "suite.toml").is_file():
        from harness.suite import select_methods

        methods = [method.name for method in select_methods(_suite_of(module), [])]
        metafunc.parametrize("suite_method", methods, scope="session")


@pytest.fixture
def suite_run(request: pytest.FixtureRequest) -> SuiteRun:
    """The suite of the requesting module, run once a session."""
    target = request.config.getoption(_TARGET, None)
    if target is None:
        pytest.skip("give --target NAME to run the suites on a target")
    suite = _suite_of(request.path)
    runs = request.config.stash[_RUNS]
    if suite.name not in runs:
        runs[suite.name] = _run(suite, target, request)
    run = runs[suite.name]
    if isinstance(run, str):
        pytest.fail(run, pytrace=False)
    return run


@pytest.fixture
def run_document(suite_run: SuiteRun, suite_method: str) -> RunDocument:
    """The run document of one method on the target; skips when the method does not fit there."""
    document = suite_run.documents[suite_run.target, suite_method]
    if document.status == "not-run":
        pytest.skip(document.reason)
    return document


@pytest.fixture
def reference_document(suite_run: SuiteRun, suite_method: str) -> RunDocument:
    """The run document of the same method on the suite's reference target."""
    return suite_run.documents[suite_run.suite.reference, suite_method]


@pytest.fixture
def record_figures(
    run_document: RunDocument, record_property: Callable[[str, object], None]
) -> Callable[[], None]:
    """Calling it puts every figure of the document into the JUnit XML: FIGURE, FIGURE.unit, FIGURE.kind."""

    def record() -> None:
        from harness.results.figures import figures

        record_property("method", run_document.method)
        record_property("target", run_document.target)
        for row in figures([run_document]).to_dict("records"):
            record_property(str(row["figure"]), row["value"])
            record_property(f"{row['figure']}.unit", row["unit"])
            record_property(f"{row['figure']}.kind", row["kind"])

    return record


def _suite_of(module: Path) -> Suite:
    from harness.suite import load_suite

    return load_suite(module.parent.name.replace("_", "-"))


def _run(suite: Suite, target: str, request: pytest.FixtureRequest) -> SuiteRun | str:
    from harness.errors import ToolMissingError
    from harness.farm.selection import is_farm
    from harness.progress import ProgressWatcher
    from harness.run.request import Overrides, check_targets, make_request
    from harness.run.runner import EXPECTED, run_suite

    out = request.config.getoption(_OUT, None)
    folder = Path(out) if out else request.getfixturevalue("tmp_path_factory").mktemp("trainbench")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    try:
        if not is_farm(target):
            check_targets((target,))
    except ToolMissingError as error:
        pytest.skip(str(error))
    try:
        wanted = make_request(
            suite.name,
            Overrides(
                targets=(target,),
                seeds=suite.seeds[:1],
                out=folder / suite.name / target.replace(":", "-"),
            ),
        )
        name = target if not is_farm(target) else _only(tuple(wanted.farms), target)
        with capture.global_and_fixture_disabled(), ProgressWatcher() as watcher:
            documents = run_suite(wanted, watcher)
    except ToolMissingError as error:
        pytest.skip(str(error))
    except EXPECTED as error:
        return str(error)
    return SuiteRun(suite, name, {(run.target, run.method): run for run in documents})


def _only(targets: tuple[str, ...], asked: str) -> str:
    """pytest runs on one target: that of the places that were asked for."""
    from harness.errors import UsageError

    if len(targets) != 1:
        raise UsageError(
            f"{asked} means places of several targets ({', '.join(targets)}); add target=NAME to it"
        )
    return targets[0]
