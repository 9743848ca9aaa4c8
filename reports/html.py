"""What every page of ours is made of: one HTML file that needs nothing else.

Everything a document says is untrusted. It enters a page by three doors: jinja2 with autoescape; sentences
built with `Markup.format`; chart data as JSON in a script element of a type that is not executed, with <, >
and & as \\u escapes. The content security policy allows no request at all and only the two scripts whose
hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from reports import numbers
from reports.charts.chart import Chart

TEMPLATES = Path(__file__).resolve().parent / "templates"


def render_page(template: str, charts: dict[str, Chart], **values: Any) -> str:
    """The text of `template` with `charts` by identifier, styles and scripts inlined."""
    plotly, script = _inline_script(get_plotlyjs()), _inline_script(_text("report.js"))
    return (
        _environment()
        .get_template(template)
        .render(
            policy=content_security_policy(plotly, script),
            style=Markup(_text("report.css")),
            plotly=plotly,
            script=script,
            figures=_figures(charts),
            charts=charts,
            **values,
        )
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
