"""Run documents → the text of the report: one HTML file that needs nothing else (`reports.html`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.results.comparison import Comparison, compare
from harness.results.document import RunDocument
from reports.charts.learning import held_out_chart, loss_chart
from reports.charts.memory_map import memory_map_chart
from reports.charts.operator_ticks import operator_ticks_chart
from reports.charts.tradeoff import tradeoff_chart
from reports.energy import energy_table
from reports.html import render_page
from reports.provenance import origins
from reports.references import reference_table
from reports.tables import COLUMNS, comparison_blocks, groups, paired_tables
from reports.verdict import findings, headline, lead


def render(documents: Sequence[RunDocument], *, title: str | None = None) -> str:
    """One HTML page about `documents`; `title` replaces the default, which names the suite.

    Raises ResultsError for no documents and for documents that do not belong side by side.
    """
    comparison = compare(documents)
    chosen = headline(comparison, comparison.targets[0])[0]
    charts = {
        chart.identifier: chart
        for chart in (
            tradeoff_chart(comparison),
            memory_map_chart(comparison, chosen),
            operator_ticks_chart(comparison, chosen),
            loss_chart(comparison),
            held_out_chart(comparison),
        )
    }
    return render_page(
        "report.html.j2",
        charts,
        title=title or f"{comparison.suite}: training on microcontrollers",
        comparison=comparison,
        ran=_what_was_run(comparison),
        lead=lead(comparison),
        findings=findings(comparison),
        columns=COLUMNS,
        groups=groups(),
        blocks=comparison_blocks(comparison),
        paired=paired_tables(comparison),
        energy=energy_table(comparison),
        references=reference_table(comparison),
        origins=origins(comparison.documents),
    )


def _what_was_run(comparison: Comparison) -> dict[str, Any]:
    runs = comparison.documents
    some = next((run for run in runs if run.status == "done"), runs[0])
    return {
        "runs": len(runs),
        "done": sum(run.status == "done" for run in runs),
        "failed": sum(run.status == "failed" for run in runs),
        "not_run": sum(run.status == "not-run" for run in runs),
        "seeds": sorted({run.seed for run in runs}),
        "first": min(run.provenance.started_at for run in runs),
        "provenance": some.provenance,
    }
