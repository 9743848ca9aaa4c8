"""What was run, set beside what is published: the paper document of a suite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from fixtures.paper import PAPER, PublishedFigure, published_figures
from harness.paper.figures import OwnCell, own_cells
from harness.paper.orders import orders
from harness.paper.parts import Protocol
from harness.paper.quotients import quotients
from harness.paper.request import PaperRequest
from harness.paper.run import PartResult
from harness.paper.suite import MEAN, PaperSuite
from harness.results.paper import FigureName, Line, Own, PaperDocument, Published

NOT_ASKED_FOR = "not asked for"
OWN_NAMES: dict[str, FigureName] = {
    "extra_memory": "extra_memory",
    "peak_sram": "peak_sram",
    "step_time": "step_ticks",
    "accuracy_after": "accuracy_after",
}
"""By the paper's figure: ours that stands beside it."""


def make_paper_document(request: PaperRequest, results: Sequence[PartResult]) -> PaperDocument:
    """Every published figure of the suite's tables and every figure of ours, in the order of the tables."""
    suite = request.suite
    cells = [cell for result in results for cell in own_cells(result, request.out)]
    cells += [
        OwnCell(
            absent.protocol, absent.network, absent.dataset, absent.method, {}, (), "not-run", absent.reason
        )
        for absent in request.absent
    ]
    paths = [
        path
        for result in results
        for method in result.methods
        for path in result.paths(method.documents, request.out)
    ]
    published = [f for table in suite.tables for f in published_figures() if f.table == table]
    compared = list(compared_lines(suite, published, cells))
    return PaperDocument(
        suite=suite.name,
        title=suite.title,
        description=suite.description,
        paper=PAPER,
        reduced=request.reduced,
        remarks=request.remarks,
        warnings=tuple(
            f"{result.part.network}, {result.part.dataset}: {warning}"
            for result in results
            for warning in result.warnings
        ),
        lines=(*compared, *lines_alone(cells, compared)),
        quotients=quotients(suite, published, cells),
        orders=orders(suite, published, cells, request.reduced),
        runs=tuple(paths),
    )


def as_published(figure: PublishedFigure) -> Published:
    """The figure as documents have it."""
    return Published(
        place=figure.place,
        table=figure.table,
        title=figure.title,
        row=figure.row,
        column=figure.column,
        value=figure.value,
        unit=figure.unit,
        plus_minus=figure.plus_minus,
        plus_minus_means=figure.plus_minus_means,
        note=figure.note,
    )


@dataclass(frozen=True)
class _Wanted:
    """Cells that a published figure may stand beside."""

    suite: PaperSuite
    figure: PublishedFigure

    @property
    def name(self) -> FigureName:
        return OWN_NAMES[self.figure.figure]

    @property
    def protocol(self) -> Protocol:
        measured = self.figure.figure == "accuracy_after" or self.suite.cost is None
        return "accuracy" if measured else "cost"

    @property
    def methods(self) -> tuple[str, ...]:
        known = {method.name for method in self.suite.methods_of(self.figure.network)}
        return tuple(method for method in self.figure.methods if method in known)

    def cells(self, cells: Sequence[OwnCell], method: str, dataset: str) -> list[OwnCell]:
        """By target. Costs are of no dataset."""
        wanted = dataset if self.protocol == "accuracy" else ""
        key = (self.protocol, self.figure.network, wanted, method)
        return [cell for cell in cells if (cell.protocol, cell.network, cell.dataset, cell.method) == key]


def compared_lines(
    suite: PaperSuite, published: Sequence[PublishedFigure], cells: Sequence[OwnCell]
) -> Iterator[Line]:
    """A line for every published figure and method that it may stand beside; at least one a figure."""
    for figure in published:
        wanted = _Wanted(suite, figure)
        if not wanted.methods:
            yield _line(wanted, "", None, "published-only", figure.note or "nothing of ours is comparable")
        for method in wanted.methods:
            if figure.dataset == MEAN:
                yield _mean_line(wanted, published, cells, method)
                continue
            found = wanted.cells(cells, method, figure.dataset)
            if not found:
                yield _line(wanted, method, None, "not-run", NOT_ASKED_FOR)
            for cell in found:
                yield _line(wanted, method, cell.figures.get(wanted.name), cell.status, cell.reason)


def _line(wanted: _Wanted, method: str, own: Own | None, status: str, reason: str) -> Line:
    figure = wanted.figure
    if status == "done" and own is None:
        status, reason = "not-run", "this target gives no such figure"
    return Line.model_validate(
        {
            "network": figure.network,
            "dataset": figure.dataset if wanted.protocol == "accuracy" else "",
            "method": method,
            "figure": wanted.name,
            "status": status,
            "reason": reason,
            "published": as_published(figure),
            "own": own,
        }
    )


def _mean_line(
    wanted: _Wanted, published: Sequence[PublishedFigure], cells: Sequence[OwnCell], method: str
) -> Line:
    """The mean over the datasets of the same row, or of the suite where the row has no other."""
    row = (wanted.figure.table, wanted.figure.row)
    siblings = tuple(f.dataset for f in published if (f.table, f.row) == row and f.dataset != MEAN)
    datasets = siblings or wanted.suite.dataset_names
    found = [
        cell.figures[wanted.name]
        for dataset in datasets
        for cell in wanted.cells(cells, method, dataset)
        if cell.status == "done" and wanted.name in cell.figures
    ]
    if len(found) < len(datasets):
        reason = f"a mean of {len(datasets)} datasets, of which {len(found)} were run"
        return _line(wanted, method, None, "not-run", reason)
    own = found[0].model_copy(
        update={
            "value": fmean(one.value for one in found),
            "low": None,
            "high": None,
            "runs": tuple(run for one in found for run in one.runs),
        }
    )
    return _line(wanted, method, own, "done", "")


def lines_alone(cells: Sequence[OwnCell], compared: Sequence[Line]) -> Iterator[Line]:
    """Figures of ours that stand beside none of the paper's, and cells that are nowhere else."""
    beside = {(line.network, line.dataset, line.method, line.figure) for line in compared}
    told = {(line.network, line.dataset, line.method) for line in compared}
    for cell in cells:
        key = (cell.network, cell.dataset, cell.method)
        for name, own in cell.figures.items():
            if (*key, name) not in beside:
                yield Line.model_validate(
                    {
                        **_about(cell),
                        "figure": name,
                        "status": cell.status,
                        "reason": cell.reason,
                        "own": own,
                    }
                )
        if not cell.figures and key not in told:
            name = "accuracy_after" if cell.protocol == "accuracy" else "peak_sram"
            yield Line.model_validate(
                {**_about(cell), "figure": name, "status": cell.status, "reason": cell.reason}
            )


def _about(cell: OwnCell) -> dict[str, str]:
    return {"network": cell.network, "dataset": cell.dataset, "method": cell.method}
