"""pytest plugin of the paper's suites, loaded by `harness.pytest_plugin`; nothing heavy is imported here.

`pytest --target NAME --suite paper-memory --paper-data FOLDER` runs the suite's module, cell by cell; those
that could not be run are skipped with their reason. The fixture for it is `paper_cell`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.paper.suite import PaperSuite
    from harness.results.document import RunDocument
    from harness.results.paper import Line, PaperDocument

DATA = "trainbench_paper_data"
DATASETS = "trainbench_paper_datasets"
REDUCED = "trainbench_paper_reduced"
_RUNS = pytest.StashKey[dict[str, "Ran | str"]]()
"""By suite: what it ran, or why it could not be."""


@dataclass(frozen=True)
class Ran:
    """A paper document with its run documents, by path."""

    document: PaperDocument
    runs: dict[str, RunDocument]


@dataclass(frozen=True)
class PaperCell:
    """One cell: its lines of the paper document, and its run documents (none where it was not run)."""

    lines: tuple[Line, ...]
    runs: tuple[RunDocument, ...]

    def line(self, figure: str) -> Line | None:
        """The first with a figure of ours, of this name."""
        return next((line for line in self.lines if line.figure == figure and line.own), None)


@pytest.hookimpl(trylast=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> None:
    """Options as those of the main plugin: a name that another plugin has taken is left to it."""
    group = parser.getgroup("trainbench", "trainbench: benchmark suites on a target")
    options: list[tuple[str, dict[str, object]]] = [
        ("--paper-data", {"dest": DATA, "metavar": "DIR", "help": "folder of the paper's networks (.pkl)"}),
        (
            "--paper-dataset",
            {
                "dest": DATASETS,
                "metavar": "NAME=SPEC",
                "action": "append",
                "help": "data of the paper's suites; may be repeated",
            },
        ),
        (
            "--paper-reduced",
            {"dest": REDUCED, "action": "store_true", "help": "the paper's suites in their reduced form"},
        ),
    ]
    for flag, settings in options:
        try:
            group.addoption(flag, **settings)
        except (ValueError, argparse.ArgumentError):
            continue


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a cell of the suite whose folder the module is in."""
    module = metafunc.definition.path
    if "paper_cell_name" in metafunc.fixturenames and (module.parent / "paper.toml").is_file():
        names = _cells(_suite_of(module))
        titles = [" ".join(part for part in name if part) for name in names]
        metafunc.parametrize("paper_cell_name", names, ids=titles, scope="session")


@pytest.fixture
def paper_run(request: pytest.FixtureRequest) -> Ran:
    """The suite of the requesting module, run once a session with what data is given."""
    if request.config.getoption("trainbench_target", None) is None:
        pytest.skip("give --target NAME to run the suites on a target")
    suite = _suite_of(request.path)
    runs = request.config.stash.setdefault(_RUNS, {})
    if suite.name not in runs:
        runs[suite.name] = _run(suite, request)
    found = runs[suite.name]
    if isinstance(found, str):
        pytest.fail(found, pytrace=False)
    return found


@pytest.fixture
def paper_cell(paper_run: Ran, paper_cell_name: tuple[str, str, str]) -> PaperCell:
    """One cell; skips where it was not run."""
    network, dataset, method = paper_cell_name
    lines = tuple(
        line
        for line in paper_run.document.lines
        if (line.network, line.dataset, line.method) == (network, dataset, method)
    )
    missing = next((line for line in lines if line.status == "not-run" and line.own is None), None)
    if missing is not None:
        pytest.skip(missing.reason)
    paths = dict.fromkeys(path for line in lines if line.own for path in line.own.runs)
    return PaperCell(lines, tuple(paper_run.runs[path] for path in paths))


@pytest.fixture
def record_lines(paper_cell: PaperCell, record_property: Callable[[str, object], None]) -> Callable[[], None]:
    """Calling it puts every figure of the cell into the JUnit XML, and the paper's as FIGURE.published."""

    def record() -> None:
        for line in paper_cell.lines:
            if line.own is None:
                continue
            record_property(line.figure, line.own.value)
            record_property(f"{line.figure}.unit", line.own.unit)
            record_property(f"{line.figure}.kind", line.own.kind)
            if line.published is not None:
                record_property(f"{line.figure}.published", line.published.value)
                record_property(f"{line.figure}.published.unit", line.published.unit)
                record_property(f"{line.figure}.published.place", line.published.place)

    return record


def _suite_of(module: Path) -> PaperSuite:
    from harness.paper.suite import load_paper_suite

    return load_paper_suite(module.parent.name.replace("_", "-"))


def _cells(suite: PaperSuite) -> list[tuple[str, str, str]]:
    datasets = [*([""] if suite.cost is not None else []), *suite.dataset_names]
    return [
        (network, dataset, method.name)
        for network in suite.networks
        for dataset in datasets
        for method in suite.methods_of(network)
    ]


def _run(suite: PaperSuite, request: pytest.FixtureRequest) -> Ran | str:
    from harness.paper.compare import make_paper_document
    from harness.paper.options import PaperOptions, parse_datasets
    from harness.paper.request import make_paper_request
    from harness.paper.run import run_paper
    from harness.progress import ProgressWatcher
    from harness.results.paper import load_runs, save_paper
    from harness.run.runner import EXPECTED

    config = request.config
    out = config.getoption("trainbench_out", None)
    target = config.getoption("trainbench_target")
    folder = Path(out) if out else request.getfixturevalue("tmp_path_factory").mktemp("trainbench")
    data = config.getoption(DATA, None)
    capture = config.pluginmanager.getplugin("capturemanager")
    try:
        options = PaperOptions(
            data=Path(data) if data else None,
            datasets=parse_datasets(config.getoption(DATASETS, None) or ()),
            targets=(target,) if suite.cost is not None else (),
            reduced=bool(config.getoption(REDUCED, False)),
            out=folder / suite.name / target,
        )
        wanted = make_paper_request(suite, options)
        with capture.global_and_fixture_disabled(), ProgressWatcher() as watcher:
            results = run_paper(wanted, watcher)
        document = make_paper_document(wanted, results)
        save_paper(wanted.out, document)
        runs = load_runs(wanted.out, document)
    except EXPECTED as error:
        return str(error)
    return Ran(document, runs)
