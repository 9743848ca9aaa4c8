"""The page of a paper document: what it says, and that hostile strings stay text in a real browser."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.errors import ResultsError
from harness.results.paper import PaperDocument, save_paper
from harness.results.store import write_atomically
from reports import write_report
from reports.numbers import MINUS, THIN
from reports.paper import render_paper
from reports.paper_findings import findings, lead, tally
from reports.paper_tables import (
    WideTable,
    beside_tables,
    cell_tables,
    missing_table,
    order_blocks,
    order_summary,
)


def _load(name: str) -> ModuleType:
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"report_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


papers = _load("papers")
HOSTILE = "</script><script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'><b>%{y}$x$"


@pytest.fixture(scope="module")
def document() -> PaperDocument:
    found: PaperDocument = papers.paper()
    return found


def texts(table: WideTable | None) -> list[list[str]]:
    assert table is not None
    return [[value.text for value in row] for row in table.rows]


def test_published_beside_ours_with_difference_and_kind(document: PaperDocument) -> None:
    (table,) = beside_tables(document)
    rows = {(row[0], row[2]): row[3:] for row in texts(table.done)}
    assert rows["r, full", "full"][:5] == [
        f"3{THIN}650{THIN}KB",
        f"1{THIN}439.9{THIN}KB",
        f"{MINUS}2{THIN}210.1{THIN}KB",
        "0.39",
        "measured, qemu-mps2-an500",
    ]
    exact = rows["r, extra", "sparse-49kb"]
    assert (exact[0], exact[2], exact[4]) == (f"49.8 ± 0.05{THIN}KB", f"{MINUS}0.05{THIN}KB", "analytic")
    time = rows["r, time", "sparse-49kb"]
    assert time[2] == "different units"
    assert time[1] == f"37{THIN}519{THIN}000{THIN}instructions"
    accuracy = rows["r, CF10", "sparse-49kb"]
    assert accuracy[1:3] == [f"87.0{THIN}%", f"+0.10{THIN}points"]
    assert accuracy[5] == "reduced: 2000 training images"


def test_what_was_not_run_is_there_with_its_reason(document: PaperDocument) -> None:
    (table,) = beside_tables(document)
    assert [row[-1] for row in texts(table.rest)] == [
        "not run: a mean of 8 datasets, of which 1 was run",
        "not comparable: on a computer",
    ]
    assert texts(missing_table(document)) == [
        ["a mean of 8 datasets, of which 1 was run", "not run", "1", "mcunet-5fps, mean, sparse-49kb"],
        ["the loss of step 3 is nan", "failed", "1", "mcunet-5fps, cifar10, lars"],
    ]


def test_every_cell_has_its_figures_once(document: PaperDocument, factory: ModuleType) -> None:
    run = factory.document("full", "qemu-mps2-an500", 0)
    costs, accuracies = cell_tables(document, {papers.RUN: run})
    assert [row[0] for row in texts(costs)] == ["sparse-49kb", "sparse-99kb", "full"]
    assert costs.rows[-1][4].text.startswith("lacks")
    assert [row[0] for row in texts(accuracies)] == ["last-layer", "sparse-49kb", "last:6"]


def test_equal_accuracies_have_equal_ranks(document: PaperDocument) -> None:
    (block,) = order_blocks(document)
    assert [row[:4] for row in texts(block.ranked)] == [
        ["qas", "1", "86.9", "2"],
        ["adam", "2", "84.5", "1"],
        ["sgd", "3", "75.4", "2"],
    ]


def test_the_verdict_counts(document: PaperDocument) -> None:
    found = tally(document)
    assert (found.cells, found.done, found.failed) == (7, 6, 1)
    assert (found.figures, found.beside) == (7, 5)
    assert "5 of 7 figures" in lead(document)
    said = {finding.heading: finding for finding in findings(document)}
    assert said["Failed"].alarm
    assert "1 of 1 scheme" in said["Extra memory, by the paper’s rule"].text
    sizes = said["Table 1"].text
    assert f"173{THIN}KB published" in sizes and "93.6" in sizes and "140.3" in sizes
    assert "1.2 to 1.8 times as much there" in sizes
    assert said["Full over sparse"].text == "2.39 in the paper, 3.20 here."
    assert "1 of 3 pairs of methods stand in the paper's order" in order_summary(document.orders[0])


def test_extra_memory_that_differs_is_an_alarm() -> None:
    document = papers.paper()
    lines = [
        line.model_copy(update={"own": line.own.model_copy(update={"value": 60_000})})
        if line.published and line.published.column == "extra"
        else line
        for line in document.lines
    ]
    changed = document.model_copy(update={"lines": tuple(lines)})
    (finding,) = [one for one in findings(changed) if one.heading.startswith("Extra memory")]
    assert finding.alarm
    assert "mcunet-5fps sparse-49kb" in finding.text


def test_a_document_of_nothing_run_is_a_page_too(tmp_path: Path) -> None:
    lines = [line for line in papers.lines() if line.own is None and line.status == "not-run"]
    document = papers.paper(lines=lines, quotients=(), orders=(), runs=())
    save_paper(tmp_path, document)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "No cell was run" in page
    assert "of which 1 was run" in page


def test_the_report_of_a_folder_reads_its_runs(tmp_path: Path, factory: ModuleType) -> None:
    document = papers.paper()
    save_paper(tmp_path, document)
    with pytest.raises(ResultsError, match="cannot be read"):
        write_report(tmp_path)
    run = factory.document("full", "qemu-mps2-an500", 0)
    write_atomically(tmp_path / papers.RUN, run.model_dump_json())
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert run.provenance.elf_digest in page


browser_tests = _load("test_browser")
browser = browser_tests.browser
pytest_browser = [pytest.mark.browser, browser_tests.pytestmark[1]]


def in_browser(test: object) -> object:
    for mark in pytest_browser:
        test = mark(test)
    return test


@pytest.fixture(scope="module")
def page(factory: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = factory.document("full", "qemu-mps2-an500", 0)
    return browser_tests.written(tmp_path_factory, render_paper(papers.paper(), {papers.RUN: run}))


@in_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_window_and_asks_for_nothing(browser, page: Path, width: int) -> None:
    browser_tests.show(browser, page, width)
    browser.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true })")
    inner, scrolled = browser.execute_script(
        "return [window.innerWidth, document.documentElement.scrollWidth]"
    )
    assert inner == width
    assert scrolled <= width
    assert browser.get_log("browser") == []
    asked = browser_tests.requested(browser_tests.messages(browser))
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]


@in_browser
def test_both_charts_draw_and_links_lead_somewhere(browser, page: Path) -> None:
    browser_tests.show(browser, page)
    drawn = browser.execute_script(
        "return Object.fromEntries([...document.querySelectorAll('[data-chart]')].map((chart) =>"
        " [chart.dataset.chart, chart.querySelectorAll('.points path').length]))"
    )
    assert drawn["paper-memory"] == 2
    # Three of ours, and the mean of the paper.
    assert drawn["paper-accuracy"] == 4
    broken = browser.execute_script(
        "const links = [...document.querySelectorAll('nav a')];"
        "return links.filter((link) => !document.querySelector(link.hash)).length"
    )
    assert broken == 0


@in_browser
def test_hostile_strings_stay_text(
    browser, factory: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> None:
    document = papers.hostile(papers.paper(), HOSTILE)
    run = factory.hostile(factory.document("full", "qemu-mps2-an500", 0), HOSTILE)
    browser_tests.show(
        browser, browser_tests.written(tmp_path_factory, render_paper(document, {papers.RUN + HOSTILE: run}))
    )
    browser.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true })")
    assert browser.execute_script("return window.pwned") is None
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.querySelectorAll('main img, main b').length") == 0
    assert HOSTILE in browser.execute_script("return document.querySelector('main').textContent")
