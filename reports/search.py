"""The document of a search → one HTML page: accuracy and contributions against memory, and every part."""

from __future__ import annotations

from harness.results.search_document import Candidate, Estimate, Part, SearchDocument
from reports.charts.chart import TextTable
from reports.charts.search import accuracy_chart, parts_chart, totals_chart
from reports.html import render_page
from reports.numbers import DASH, count, percent, points
from reports.provenance import Table


def render_search(document: SearchDocument) -> str:
    """One HTML page about `document`."""
    charts = {
        chart.identifier: chart
        for chart in (accuracy_chart(document), totals_chart(document), parts_chart(document))
    }
    return render_page(
        "search.html.j2",
        charts,
        title=f"{document.network}: scheme within {count(document.budget)} bytes",
        search=document,
        held_out=_held_out(document),
        cost=COSTS[document.cost],
        candidates=candidate_table(document),
        parts=part_table(document.parts, document.measure),
        freezing=freeze_table(document),
        origins=_origins(document),
    )


COSTS = {
    "analytic": "extra memory by the paper's rule (analytic)",
    "sram": "peak SRAM by the plan (analytic)",
}


def _held_out(document: SearchDocument) -> str:
    where = "the validation part" if document.folds == 1 else f"{document.folds} folds beside the test part"
    return f"{count(document.held_out_images)} images of {where}"


def candidate_table(document: SearchDocument) -> TextTable:
    """Every scheme of the result."""
    return TextTable(
        "Schemes; ± is one standard error. Accuracy is of held-out images that are not in the test part",
        (
            *("Scheme", "Updates", f"Total of contributions, {document.measure}"),
            *("Extra memory (analytic), bytes", "Peak SRAM (planned), bytes"),
            *(f"Peak SRAM (measured{f' on {document.target}' if document.target else ''}), bytes",),
            *("Accuracy, %", "Minus classifier alone, points"),
        ),
        tuple(_candidate_row(candidate) for candidate in document.candidates),
    )


def _candidate_row(candidate: Candidate) -> tuple[str, ...]:
    trained = candidate.trained
    return (
        f"{candidate.name} (chosen)" if candidate.chosen else candidate.name,
        trained.label,
        _estimate(candidate.total),
        count(trained.extra_memory_analytic),
        count(candidate.planned_peak),
        DASH if candidate.measured_peak is None else count(candidate.measured_peak),
        "diverged" if trained.accuracy is None else percent(trained.accuracy),
        _points(trained.accuracy_gain),
    )


def part_table(parts: tuple[Part, ...], measure: str) -> TextTable | None:
    """Every contribution."""
    if not parts:
        return None
    return TextTable(
        "Contributions: biases against the classifier alone, weights on top of the biases from there on",
        ("Part", "Kind", measure.capitalize(), "Accuracy, points", "Extra memory (analytic), bytes"),
        tuple(
            (
                part.trained.label,
                part.kind,
                "diverged" if part.contribution is None else _estimate(part.contribution),
                _points(part.accuracy_contribution),
                count(part.trained.extra_memory_analytic),
            )
            for part in parts
        ),
    )


def freeze_table(document: SearchDocument) -> TextTable | None:
    """Every trial of freezing."""
    if not document.freezing:
        return None
    return TextTable(
        f"Freezing, in order; a group stays frozen while the score falls by at most {document.threshold:g}",
        ("Left to train", "Score", "Stays frozen", "Cost, bytes"),
        tuple(
            (
                step.label,
                "diverged" if step.score is None else f"{step.score:.4f}",
                "yes" if step.kept else "no",
                count(step.cost),
            )
            for step in document.freezing
        ),
    )


def _estimate(estimate: Estimate | None) -> str:
    return DASH if estimate is None else f"{estimate.value:+.4f} ± {estimate.error:.4f}".replace("-", "−")


def _points(estimate: Estimate | None) -> str:
    return DASH if estimate is None else f"{points(estimate.value)} ± {100 * estimate.error:.1f}"


def _origins(document: SearchDocument) -> Table:
    rows = {
        "network": f"{document.network}, SHA-256 {document.model_digest}",
        "data": f"{document.dataset_description}, SHA-256 {document.dataset_digest}",
        "options": f"{document.rounding} rounding, {document.gradient} gradients",
        **document.provenance,
    }
    return Table(("What", "This search"), tuple(rows.items()))
