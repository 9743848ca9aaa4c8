"""The memory map: every arena buffer as a rectangle, operators from left to right, arena offset upwards."""

from __future__ import annotations

from harness.results.comparison import Comparison
from harness.results.document import MemoryPlan, PlannedBuffer
from harness.results.peak import live_buffers, peak_operator
from reports.charts.chart import NO_COLOR, Chart, Choice, Figure, TextTable, label, layout
from reports.numbers import count, plural

WHAT = {
    "input": "input",
    "activation": "activations",
    "mask": "clamp masks",
    "gradient": "gradients",
    "scratch": "scratch",
}


def memory_map_chart(comparison: Comparison, first: str) -> Chart:
    """One choice for each method, or each of its plans where targets differ; `first` is shown first."""
    choices: list[Choice] = []
    start = 0
    for method in comparison.methods:
        plans = _plans(comparison, method)
        start = len(choices) if method == first else start
        for plan, targets in plans.items():
            title = method if len(plans) == 1 else f"{method} ({', '.join(targets)})"
            if plan.operators and plan.buffers:
                choices.append(_choice(title, plan))
    return Chart("memory-map", "Method", tuple(choices), "No run has a memory plan.", 460, start)


def _plans(comparison: Comparison, method: str) -> dict[MemoryPlan, list[str]]:
    plans: dict[MemoryPlan, list[str]] = {}
    for target in comparison.targets:
        for run in comparison.cell(method, target).runs:
            if run.plan is not None and run.status != "failed":
                targets = plans.setdefault(run.plan, [])
                if target not in targets:
                    targets.append(target)
    return plans


def _choice(title: str, plan: MemoryPlan) -> Choice:
    peak = peak_operator(plan)
    operator = plan.operators[peak]
    caption = (
        f"{title}: arena {count(plan.arena_bytes)} bytes, lower bound {count(plan.lower_bound)}, "
        f"gap {count(plan.gap_bytes)} (order: {plan.order}). The peak is at operator {peak + 1} of "
        f"{len(plan.operators)}, {operator.name} ({operator.phase}), with "
        f"{count(operator.live_bytes)} bytes live."
    )
    table = TextTable(
        f"{title}: buffers live at the peak",
        ("Buffer", "What", "Bytes", "Offset", "Operators"),
        tuple(
            (b.name, WHAT[b.what], count(b.size), count(b.offset), f"{b.first + 1} to {b.last}")
            for b in live_buffers(plan, peak)
        ),
    )
    traces = [_trace(plan, what) for what in WHAT if any(buffer.what == what for buffer in plan.buffers)]
    return Choice(title, {"data": traces, "layout": _layout(plan, peak)}, caption, table)


def _trace(plan: MemoryPlan, what: str) -> Figure:
    buffers = [buffer for buffer in plan.buffers if buffer.what == what]
    return {
        "type": "bar",
        "name": WHAT[what],
        "x": [(b.first + b.last) / 2 for b in buffers],
        "width": [b.last - b.first for b in buffers],
        "base": [b.offset for b in buffers],
        "y": [b.size for b in buffers],
        "marker": {
            "color": f"var(--what-{what})",
            "line": {"color": "var(--page)", "width": 0.6},
        },
        "hoverinfo": "text",
        "hovertext": [_hover(plan, buffer) for buffer in buffers],
        "textposition": "none",
    }


def _hover(plan: MemoryPlan, buffer: PlannedBuffer) -> str:
    return (
        f"<b>{label(buffer.name)}</b><br>{WHAT[buffer.what]}, {count(buffer.size)} bytes"
        f"<br>offset {count(buffer.offset)} to {count(buffer.offset + buffer.size)}"
        f"<br>from {_operator(plan, buffer.first)}<br>through {_operator(plan, buffer.last - 1)}"
        f"<br>({plural(buffer.last - buffer.first, 'operator')})"
    )


def _operator(plan: MemoryPlan, index: int) -> str:
    if 0 <= index < len(plan.operators):
        return f"{index + 1} {label(plan.operators[index].name)}"
    return f"{index + 1}"


def _layout(plan: MemoryPlan, peak: int) -> Figure:
    backward = next((i for i, o in enumerate(plan.operators) if o.phase != "forward"), None)
    edges = [_band(peak)]
    notes = [_note(peak + 0.5, "peak", len(plan.operators))]
    if backward is not None:
        edges.append(_line(backward))
        if abs(backward - peak) > 0.12 * len(plan.operators):
            notes.append(_note(backward, "backward →", len(plan.operators)))
    return layout(
        "operator, in order of execution",
        "arena offset, bytes",
        barmode="overlay",
        bargap=0,
        xaxis={"range": [0, len(plan.operators)], "gridcolor": NO_COLOR, "tickformat": ",d"},
        yaxis={"range": [0, plan.arena_bytes * 1.02], "tickformat": ",d"},
        shapes=edges,
        annotations=notes,
    )


def _band(index: int) -> Figure:
    """The peak step, over all buffers."""
    return {
        "type": "rect",
        "x0": index,
        "x1": index + 1,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "fillcolor": "var(--ink)",
        "opacity": 0.35,
        "line": {"color": "var(--ink)", "width": 2},
    }


def _line(x: float) -> Figure:
    return {
        "type": "line",
        "x0": x,
        "x1": x,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": "var(--muted)", "width": 1.2, "dash": "dot"},
    }


def _note(x: float, text: str, width: int) -> Figure:
    """A word above the plot, kept inside it at both ends."""
    anchor = "left" if x < 0.1 * width else "right" if x > 0.9 * width else "center"
    return {
        "x": x,
        "yref": "paper",
        "y": 1,
        "xanchor": anchor,
        "yanchor": "bottom",
        "showarrow": False,
        "text": text,
        "font": {"size": 12},
    }
