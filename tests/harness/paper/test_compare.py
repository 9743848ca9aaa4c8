from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.paper import PublishedFigure, published_figures
from harness.paper.compare import compared_lines, lines_alone
from harness.paper.figures import OwnCell
from harness.paper.suite import PaperSuite, load_paper_suite
from harness.results.paper import Line, Own

MEMORY = load_paper_suite("paper-memory")
QAS = load_paper_suite("paper-qas")
KB = 1024


def of(suite: PaperSuite, table: str) -> list[PublishedFigure]:
    return [figure for figure in published_figures() if figure.table == table]


def compared(suite: PaperSuite, table: str, cells: list[OwnCell]) -> list[Line]:
    return list(compared_lines(suite, of(suite, table), cells))


def test_ours_stands_beside_the_papers_in_its_unit(
    own_cell: Callable[..., OwnCell], own_figure: Callable[..., Own]
) -> None:
    peak = own_figure(1439 * KB)
    lines = compared(MEMORY, "Fig. 10a", [own_cell("full", {"peak_sram": peak})])
    (line,) = [line for line in lines if line.own is not None]
    assert line.published is not None
    assert line.published.place == "Fig. 10a, row MCUNet, column full update"
    assert line.difference == pytest.approx(1439 - 3650)
    assert (line.network, line.method, line.status) == ("mcunet-5fps", "full", "done")


def test_what_the_paper_does_not_name_stands_beside_every_candidate(
    own_cell: Callable[..., OwnCell], own_figure: Callable[..., Own]
) -> None:
    cells = [
        own_cell(method, {"peak_sram": own_figure(size * KB)})
        for method, size in (("sparse-49kb", 94), ("sparse-99kb", 140))
    ]
    lines = compared(MEMORY, "Fig. 10a", cells)
    found = {line.method: line.difference for line in lines if line.own is not None}
    assert found == {"sparse-49kb": pytest.approx(94 - 173), "sparse-99kb": pytest.approx(140 - 173)}


def test_what_nothing_here_does_says_why() -> None:
    lines = compared(MEMORY, "Fig. 1", [])
    by_row = {line.published.row: line for line in lines if line.published}
    assert by_row["PyTorch"].status == "published-only"
    assert by_row["PyTorch"].reason == "on a computer"
    assert by_row["+ QAS (int8), full update"].status == "not-run"


def test_analytic_memory_agrees_to_the_last_printed_digit(
    own_cell: Callable[..., OwnCell], own_figure: Callable[..., Own]
) -> None:
    table = "Published schemes of MCUNet-5FPS"
    for size, agrees in ((50_944, True), (50_000, False)):
        cell = own_cell("sparse-49kb", {"extra_memory": own_figure(size, kind="analytic")})
        (line,) = [line for line in compared(MEMORY, table, [cell]) if line.own is not None]
        assert line.agrees is agrees


def test_a_failed_cell_gives_its_reason_and_no_figure(own_cell: Callable[..., OwnCell]) -> None:
    cell = own_cell("full", {}, status="failed", reason="it broke")
    lines = [line for line in compared(MEMORY, "Fig. 10a", [cell]) if line.status == "failed"]
    assert [(line.reason, line.own) for line in lines] == [("it broke", None)]


def test_a_mean_needs_all_of_its_datasets(
    own_cell: Callable[..., OwnCell], own_figure: Callable[..., Own]
) -> None:
    def cells(datasets: tuple[str, ...]) -> list[OwnCell]:
        return [
            own_cell(
                "int8-adam",
                {"accuracy_after": own_figure(0.5 + number / 100, "fraction", low=0.4, high=0.7)},
                dataset=dataset,
            )
            for number, dataset in enumerate(datasets)
        ]

    def mean(datasets: tuple[str, ...]) -> Line:
        lines = compared(QAS, "Table 1", cells(datasets))
        (line,) = [line for line in lines if (line.method, line.dataset) == ("int8-adam", "mean")]
        return line

    some = mean(("cars", "vww"))
    assert (some.status, some.own) == ("not-run", None)
    assert some.reason == "a mean of 8 datasets, of which 2 were run"
    every = mean(QAS.dataset_names)
    assert every.own is not None
    assert every.own.value == pytest.approx(0.535)
    assert every.difference == pytest.approx(53.5 - 71.8)
    assert (every.own.low, every.own.high) == (None, None)


def test_instructions_and_milliseconds_have_no_difference(
    own_cell: Callable[..., OwnCell], own_figure: Callable[..., Own]
) -> None:
    cell = own_cell("sparse-49kb", {"step_ticks": own_figure(3.7e7, "instructions")})
    lines = [line for line in compared(load_paper_suite("paper-latency"), "Fig. 10c", [cell]) if line.own]
    assert len(lines) == 2
    assert all(line.difference is None and line.agrees is None for line in lines)


def test_every_figure_of_ours_is_told_once(
    own_cell: Callable[..., OwnCell], own_figure: Callable[..., Own]
) -> None:
    cells = [
        own_cell("full", {"peak_sram": own_figure(1), "step_ticks": own_figure(2, "instructions")}),
        own_cell("last-layer", {}, status="not-run", reason="no data"),
    ]
    lines = compared(MEMORY, "Fig. 10a", cells)
    alone = list(lines_alone(cells, lines))
    assert [(line.method, line.figure, line.status) for line in alone] == [
        ("full", "step_ticks", "done"),
        ("last-layer", "peak_sram", "not-run"),
    ]
    assert all(line.published is None for line in alone)
