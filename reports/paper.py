"""A paper document and its run documents → one HTML page: the paper's figures beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.results.comparison import compare
from harness.results.document import RunDocument
from harness.results.paper import PaperDocument
from reports.charts.chart import Chart, TextTable
from reports.charts.paper import accuracy_chart, memory_chart
from reports.html import render_page
from reports.paper_findings import findings, lead, tally
from reports.paper_tables import (
    beside_tables,
    cell_tables,
    missing_table,
    order_blocks,
    quotient_table,
)
from reports.provenance import origins
from reports.references import reference_table


def render_paper(document: PaperDocument, runs: Mapping[str, RunDocument]) -> str:
    """One HTML page; `runs` are those that `document` names, by these names."""
    charts: dict[str, Chart] = {
        chart.identifier: chart
        for chart in (memory_chart(document, runs), accuracy_chart(document))
        if chart.choices
    }
    return render_page(
        "paper.html.j2",
        charts,
        title=document.title,
        document=document,
        tally=tally(document),
        lead=lead(document),
        findings=findings(document),
        beside=beside_tables(document),
        quotients=quotient_table(document),
        orders=order_blocks(document),
        cells=cell_tables(document, runs),
        missing=missing_table(document),
        peers=peer_tables(list(runs.values())),
        origins=origins(list(runs.values())) if runs else None,
    )


def peer_tables(runs: Sequence[RunDocument]) -> tuple[TextTable, ...]:
    """What other trainers need for exactly the same work, by network and data."""
    groups: dict[tuple[str, str], list[RunDocument]] = {}
    for run in runs:
        if run.references:
            key = (run.provenance.model_digest, run.provenance.dataset_digest)
            groups.setdefault(key, []).append(run)
    tables = [reference_table(compare(group)) for group in groups.values()]
    return tuple(table for table in tables if table is not None)
