"""What all charts share. Figures are plain dictionaries in plotly.js's own schema (data, layout).

Strings of documents are escaped by `label`: plotly.js reads a subset of HTML in every text it draws. Colors
are CSS variables ("var(--method-0)") that the page resolves, so that one figure serves light and dark.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reports.numbers import THIN

Figure = dict[str, Any]

NO_COLOR = "rgba(0,0,0,0)"
METHOD_COLORS = 8
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "triangle-down")


@dataclass(frozen=True)
class TextTable:
    """The chart's figures as text, for whoever cannot see it."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Choice:
    """One state of a chart: what its selector says, the figure, its caption, and the same as text."""

    label: str
    figure: Figure
    caption: str
    table: TextTable | None = None


@dataclass(frozen=True)
class Chart:
    """A chart with one or more choices. `absent` says why there is none. `height`: CSS pixels."""

    identifier: str
    label: str
    choices: tuple[Choice, ...]
    absent: str = ""
    height: int = 420
    start: int = 0
    """The choice shown first."""


def label(text: str) -> str:
    """`text` as plotly.js has to be given it, to be drawn as it is."""
    return html.escape(text, quote=False)


def method_color(methods: Sequence[str], method: str) -> str:
    return f"var(--method-{methods.index(method) % METHOD_COLORS})"


def symbol(methods: Sequence[str], method: str) -> str:
    """A shape beside the color, for those who cannot tell the colors apart."""
    return SYMBOLS[methods.index(method) % len(SYMBOLS)]


def layout(x_title: str, y_title: str, **more: Any) -> Figure:
    """The common layout; `more` is merged on top (axes by key)."""
    base: Figure = {
        "autosize": True,
        "paper_bgcolor": NO_COLOR,
        "plot_bgcolor": NO_COLOR,
        "separators": f".{THIN}",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "var(--ink)"},
        "margin": {"l": 64, "r": 12, "t": 28, "b": 48},
        "hoverlabel": {
            "bgcolor": "var(--raised)",
            "bordercolor": "var(--line)",
            "font": {"color": "var(--ink)"},
            "align": "left",
        },
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.2, "yanchor": "top"},
        "hovermode": "closest",
        "dragmode": False,
        "xaxis": axis(x_title),
        "yaxis": axis(y_title),
    }
    for key, value in more.items():
        base[key] = {**base[key], **value} if isinstance(base.get(key), dict) else value
    return base


def axis(title: str) -> Figure:
    return {
        "title": {"text": title, "standoff": 8, "font": {"size": 13}},
        "gridcolor": "var(--grid)",
        "linecolor": "var(--line)",
        "zerolinecolor": "var(--line)",
        "automargin": True,
    }
