"""Run documents → the text of one HTML file that needs nothing else.

Everything a document says is untrusted. It enters the page by three doors: jinja2 with autoescape; sentences
built with `Markup.format`; chart data as JSON in a script element of a type that is not executed, with <, >
and & as \\u escapes. The content security policy allows no request at all and only the two scripts whose
hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from harness.results.comparison import Comparison, compare
from harness.results.document import RunDocument
from reports import numbers
from reports.charts.chart import Chart
from reports.charts.learning import held_out_chart, loss_chart
from reports.charts.memory_map import memory_map_chart
from reports.charts.operator_ticks import operator_ticks_chart
from reports.charts.tradeoff import tradeoff_chart
from reports.provenance import origins
from reports.references import reference_table
from reports.tables import COLUMNS, comparison_blocks, groups, paired_tables
from reports.verdict import findings, headline, lead

TEMPLATES = Path(__file__).resolve().parent / "templates"


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
    plotly, script = _inline_script(get_plotlyjs()), _inline_script(_text("report.js"))
    page = _environment().get_template("report.html.j2")
    return page.render(
        title=title or f"{comparison.suite}: training on microcontrollers",
        policy=content_security_policy(plotly, script),
        style=Markup(_text("report.css")),
        plotly=plotly,
        script=script,
        figures=_figures(charts),
        charts=charts,
        comparison=comparison,
        ran=_what_was_run(comparison),
        lead=lead(comparison),
        findings=findings(comparison),
        columns=COLUMNS,
        groups=groups(),
        blocks=comparison_blocks(comparison),
        paired=paired_tables(comparison),
        references=reference_table(comparison),
        origins=origins(comparison.documents),
    )


def content_security_policy(*scripts: str) -> str:
    """No request, and no script but `scripts`. plotly.js sets the styles of what it draws."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _inline_script(text: str) -> Markup:
    """A script as it may stand in a page; trusted, ours or plotly's."""
    lowered = text.lower()
    if "</script" in lowered or "<!--" in lowered:
        raise ValueError("a script that ends its own element cannot be inlined")
    return Markup(text)


def _figures(charts: dict[str, Chart]) -> Markup:
    data = {name: [choice.figure for choice in chart.choices] for name, chart in charts.items()}
    return htmlsafe_json_dumps(data, dumps=json.dumps, allow_nan=False, separators=(",", ":"))


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


def _text(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": numbers.count, "plural": numbers.plural}
    return environment
