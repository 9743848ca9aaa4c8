"""What a paper document shows, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from harness.results.paper import FACTORS, Line, PaperDocument, Published
from reports.numbers import count, plural
from reports.paper_tables import order_summary, own_value, published_text
from reports.sentences import Finding, joined, name


@dataclass(frozen=True)
class Tally:
    """Cells: (network, dataset, method). Figures: lines with a published figure."""

    cells: int
    done: int
    failed: int
    figures: int
    beside: int


def tally(document: PaperDocument) -> Tally:
    cells: dict[tuple[str, str, str], set[str]] = {}
    for line in document.lines:
        if line.status != "published-only" and line.dataset != "mean":
            cells.setdefault((line.network, line.dataset, line.method), set()).add(line.status)
    places = {line.published.place for line in document.lines if line.published}
    beside = {line.published.place for line in document.lines if line.published and line.own}
    return Tally(
        cells=len(cells),
        done=sum("done" in statuses for statuses in cells.values()),
        failed=sum("failed" in statuses for statuses in cells.values()),
        figures=len(places),
        beside=len(beside),
    )


def lead(document: PaperDocument) -> Markup:
    """How much of what the paper prints has a figure of ours beside it."""
    found = tally(document)
    if not found.done:
        return Markup("No cell was run: what is missing for each of them is said below.")
    return Markup("{} of {} figures of the paper have one of ours beside them; {} of {} were run.").format(
        count(found.beside), count(found.figures), count(found.done), plural(found.cells, "cell")
    )


def findings(document: PaperDocument) -> tuple[Finding, ...]:
    """Alarms first, then one for each thing the document can tell."""
    found = [
        *(Finding("Not the paper's network", Markup("{}.").format(r), alarm=True) for r in document.remarks),
        *_failures(document),
        *_reduction(document),
        *_analytic(document),
        *_sizes(document),
        *_quotients(document),
        *_orders(document),
        *(Finding("To be known", Markup("{}.").format(warning)) for warning in document.warnings),
    ]
    return tuple(sorted(found, key=lambda finding: not finding.alarm))


def _failures(document: PaperDocument) -> Iterator[Finding]:
    reasons = dict.fromkeys(
        (line.network, line.dataset, line.method, line.reason)
        for line in document.lines
        if line.status == "failed"
    )
    for network, dataset, method, reason in reasons:
        cell = joined([name(part) for part in (network, dataset, method) if part], ", ")
        yield Finding("Failed", Markup("{}: {}").format(cell, reason), alarm=True)


def _reduction(document: PaperDocument) -> Iterator[Finding]:
    if document.reduced:
        text = Markup(
            "{}. The paper trains longer, on all of the data: what can be compared is how methods rank."
        ).format(document.reduced[:1].upper() + document.reduced[1:])
        yield Finding("A reduced run", text)


def _analytic(document: PaperDocument) -> Iterator[Finding]:
    lines = [line for line in document.lines if line.own is not None and line.own.kind == "analytic"]
    judged = [line for line in lines if line.agrees is not None and line.figure == "extra_memory"]
    if not judged:
        return
    equal = [line for line in judged if line.agrees]
    text = Markup("{} of {} are those published, to the last printed digit").format(
        len(equal), plural(len(judged), "scheme")
    )
    other = [name(f"{line.network} {line.method}") for line in judged if not line.agrees]
    if other:
        text += Markup("; not those of {}").format(joined(other))
    yield Finding("Extra memory, by the paper’s rule", text + ".", alarm=bool(other))


def _sizes(document: PaperDocument) -> Iterator[Finding]:
    """One sentence for each published size; a range where the paper does not name its scheme."""
    tables: dict[str, list[Markup]] = {}
    by_place: dict[str, list[Line]] = {}
    for line in document.lines:
        if line.published and line.own and line.figure == "peak_sram" and line.status == "done":
            by_place.setdefault(line.published.place, []).append(line)
    for lines in by_place.values():
        published = lines[0].published
        assert published is not None
        tables.setdefault(published.table, []).append(_size_sentence(published, lines))
    for table, sentences in tables.items():
        yield Finding(table, Markup(" ").join(sentences))


def _size_sentence(published: Published, lines: list[Line]) -> Markup:
    def size(line: Line) -> float:
        return 0.0 if line.own is None else line.own.value

    least, most = min(lines, key=size), max(lines, key=size)
    assert least.own is not None and most.own is not None
    where = name(f"{published.row}, {published.column}")
    here = own_value(least.own, published.unit).text
    if least.own.value != most.own.value:
        here += f" (<{least.method}>) to {own_value(most.own, published.unit).text} (<{most.method}>)"
    here = here.replace("<", "").replace(">", "")
    factor = FACTORS.get((least.own.unit, published.unit), 0.0)
    quotients = [published.value / (line.own.value * factor) for line in (most, least) if line.own]
    low, high = (f"{value:.1f}" for value in quotients)
    times = low if low == high else f"{low} to {high}"
    return Markup("{}: {} published, {} here ({}): {} times as much there.").format(
        where, published_text(published), here, least.own.kind, times
    )


def _quotients(document: PaperDocument) -> Iterator[Finding]:
    titles: dict[str, list[tuple[float, float]]] = {}
    for one in document.quotients:
        if one.own is not None:
            titles.setdefault(one.title, []).append((one.published, one.own))
    for title, pairs in titles.items():
        there, here = ([pair[index] for pair in pairs] for index in (0, 1))
        text = Markup("{} in the paper, {} here.").format(_spread(there), _spread(here))
        yield Finding(title, text)


def _spread(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _orders(document: PaperDocument) -> Iterator[Finding]:
    for order in document.orders:
        note = f" ({order.note})" if order.note else ""
        text = Markup("{} on {}{}: {}.").format(
            name(order.network), name(order.dataset), note, order_summary(order)
        )
        yield Finding(f"{order.place}", text)
