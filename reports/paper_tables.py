"""The tables of a paper report, as rows of ready-made text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.results.document import RunDocument
from harness.results.paper import FACTORS, Line, Order, Own, PaperDocument, Published
from reports.numbers import DASH, KB, MINUS, THIN, count
from reports.tables import Value


@dataclass(frozen=True)
class Heading:
    """`words`: what stands below is text, not a figure."""

    title: str
    words: bool = False


@dataclass(frozen=True)
class WideTable:
    """`rows`: the first value names the row."""

    caption: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Value, ...], ...]


@dataclass(frozen=True)
class Beside:
    """One table of the paper: lines that have a figure of ours, and those that have none."""

    place: str
    title: str
    done: WideTable | None
    rest: WideTable | None


@dataclass(frozen=True)
class OrderBlock:
    title: str
    place: str
    summary: str
    ranked: WideTable
    pairs: WideTable


def beside_tables(document: PaperDocument) -> tuple[Beside, ...]:
    """In the order of the document."""
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in document.lines:
        if line.published is not None:
            groups.setdefault((line.published.table, line.published.title), []).append(line)
    return tuple(_beside(place, title, lines) for (place, title), lines in groups.items())


def _beside(place: str, title: str, lines: Sequence[Line]) -> Beside:
    done = tuple(_done_row(line, line.published, line.own) for line in lines if line.published and line.own)
    rest = tuple(_rest_row(line, line.published) for line in lines if line.published and not line.own)
    words = Heading("In the paper", True), Heading("Network", True), Heading("Method here", True)
    return Beside(
        place,
        title,
        WideTable(
            f"{place}: published beside ours",
            (
                *words,
                *(Heading("Paper"), Heading("Here"), Heading("Difference"), Heading("Here ÷ paper")),
                *(Heading("Kind of ours", True), Heading("To be known", True)),
            ),
            done,
        )
        if done
        else None,
        WideTable(
            f"{place}: without a figure of ours",
            (*words, Heading("Paper"), Heading("Why", True)),
            rest,
        )
        if rest
        else None,
    )


def _done_row(line: Line, published: Published, own: Own) -> tuple[Value, ...]:
    apart = line.difference
    ratio = None
    factor = FACTORS.get((own.unit, published.unit))
    if factor is not None and published.value > 0:
        ratio = own.value * factor / published.value
    tone = "good" if line.agrees and own.kind == "analytic" else ""
    notes = [line.reason, published.note, own.note, published.plus_minus_means]
    return (
        Value(f"{published.row}, {published.column}"),
        Value(line.network),
        _method(line),
        Value(published_text(published), tone=""),
        own_value(own, published.unit),
        Value(_signed(apart, published.unit) if apart is not None else "different units", tone=tone),
        Value(DASH if ratio is None else f"{ratio:.2f}"),
        Value(own.kind if own.kind == "analytic" else f"{own.kind}, {own.target}"),
        Value("; ".join(dict.fromkeys(note for note in notes if note))),
    )


def _rest_row(line: Line, published: Published) -> tuple[Value, ...]:
    word = {"failed": "failed", "not-run": "not run", "published-only": "not comparable"}.get(line.status, "")
    return (
        Value(f"{published.row}, {published.column}"),
        Value(line.network),
        _method(line),
        Value(published_text(published)),
        Value(f"{word}: {line.reason}", tone="bad" if line.status == "failed" else ""),
    )


def _method(line: Line) -> Value:
    return Value(line.method or DASH, line.dataset)


def published_text(published: Published) -> str:
    """The figure with its unit and how far it may be off."""
    spread = "" if published.plus_minus is None else f" ± {published.plus_minus:g}"
    return f"{count_short(published.value)}{spread}{THIN}{published.unit}"


def count_short(value: float) -> str:
    """As printed in the paper: no digit added, groups of three set apart."""
    whole, point, rest = f"{value:.10g}".partition(".")
    return f"{count(int(whole))}{point}{rest}"


def own_value(own: Own, unit: str = "") -> Value:
    """Our figure in the paper's unit where it has one, with its interval or range below."""
    factor = FACTORS.get((own.unit, unit)) or (100.0 if own.unit == "fraction" else None)
    if factor is None:
        spread = "" if own.low in (None, own.high) else f"{count(own.low or 0)} to {count(own.high or 0)}"
        return Value(f"{count(own.value)}{THIN}{own.unit}", spread)
    shown = unit or "%"
    text = f"{own.value * factor:,.{2 if shown == 'MB' else 1}f}".replace(",", THIN)
    notes = [f"{count(own.value)} bytes"] if own.unit == "bytes" else []
    if own.unit == "fraction" and own.low is not None and own.high is not None:
        notes.append(f"{own.low * factor:.1f}{DASH}{own.high * factor:.1f}")
    return Value(f"{text}{THIN}{shown}", "\n".join(notes))


def _signed(value: float, unit: str) -> str:
    """With a sign, and two decimals where one would say nothing."""
    digits = 2 if unit == "MB" or abs(value) < 0.95 else 1
    text = f"{value:+,.{digits}f}".replace(",", THIN).replace("-", MINUS)
    if float(f"{value:.{digits}f}") == 0:
        text = f"{0:.{digits}f}"
    return f"{text}{THIN}{'points' if unit == '%' else unit}"


def quotient_table(document: PaperDocument) -> WideTable | None:
    """None where the suite declares none."""
    rows = tuple(
        (
            Value(one.title),
            Value(one.place),
            Value(f"{one.published:.2f}", one.published_of),
            Value(DASH if one.own is None else f"{one.own:.2f}", "" if one.own is None else (one.kind or "")),
            Value(one.own_of if one.own is not None else f"{one.own_of}: {one.reason}"),
        )
        for one in document.quotients
    )
    if not rows:
        return None
    headings = (
        *(Heading("Quotient", True), Heading("In the paper", True)),
        *(Heading("Paper"), Heading("Here"), Heading("Of what, here", True)),
    )
    return WideTable("Quotients: what can be compared across units", headings, rows)


def order_blocks(document: PaperDocument) -> tuple[OrderBlock, ...]:
    """The two rankings, and every pair of methods."""
    return tuple(_order_block(order) for order in document.orders)


def order_summary(order: Order) -> str:
    """How many pairs agree, in one sentence."""
    parts = [
        f"{order.count('agree')} of {len(order.pairs)} pairs of methods stand in the paper's order",
        f"{order.count('disagree')} in the opposite one",
        f"{order.count('undecided')} cannot be told apart here",
    ]
    if order.count("tie"):
        parts.append(f"{order.count('tie')} are too near each other in the paper")
    correlation = order.rank_correlation
    if correlation is not None:
        parts.append(f"rank correlation {correlation:.2f}".replace("-", MINUS))
    return ", ".join(parts)


def _order_block(order: Order) -> OrderBlock:
    there, here = _ranks([entry.published for entry in order.ranked]), _ranks([e.own for e in order.ranked])
    ranked = tuple(
        (
            Value(entry.method),
            Value(str(there[number])),
            Value(f"{entry.published:g}"),
            Value(str(here[number])),
            Value(f"{entry.own:.1f}", f"{entry.low:.1f}{DASH}{entry.high:.1f}"),
        )
        for number, entry in enumerate(order.ranked)
    )
    words = {
        "agree": "same order",
        "disagree": "opposite order",
        "undecided": "cannot be told apart here",
        "tie": "too near each other in the paper",
    }
    tones = {"agree": "good", "disagree": "bad"}
    pairs = tuple(
        (
            Value(f"{pair.ahead} over {pair.behind}"),
            Value(_signed(pair.published, "%")),
            Value(_signed(pair.own, "%"), f"{_signed(pair.low, '%')} to {_signed(pair.high, '%')}"),
            Value(words[pair.verdict], tone=tones.get(pair.verdict, "")),
        )
        for pair in order.pairs
    )
    where = f"{order.network}, {order.dataset}" + (f" ({order.note})" if order.note else "")
    return OrderBlock(
        order.title,
        f"{order.place}, beside {where}",
        order_summary(order),
        WideTable(
            "Methods by the paper's accuracy",
            (
                *(Heading("Method", True), Heading("Rank, paper"), Heading("Paper, %")),
                *(Heading("Rank, here"), Heading("Here, %")),
            ),
            ranked,
        ),
        WideTable(
            "Every pair, paired by seed and test image, 95 % interval",
            (*(Heading("Pair", True), Heading("Paper"), Heading("Here"), Heading("Verdict", True)),),
            pairs,
        ),
    )


def _ranks(values: Sequence[float]) -> list[int]:
    """1 for the highest; equal values have equal ranks."""
    return [1 + sum(other > value for other in values) for value in values]


def cell_tables(document: PaperDocument, runs: Mapping[str, RunDocument]) -> tuple[WideTable, ...]:
    """Every figure of ours, a table for each network and dataset, a row for each method."""
    groups: dict[tuple[str, str], dict[str, dict[str, Own]]] = {}
    for line in document.lines:
        if line.own is not None and line.dataset != "mean":
            cells = groups.setdefault((line.network, line.dataset), {})
            cells.setdefault(line.method, {})[line.figure] = line.own
    return tuple(_cell_table(network, dataset, cells, runs) for (network, dataset), cells in groups.items())


def _cell_table(
    network: str, dataset: str, cells: Mapping[str, Mapping[str, Own]], runs: Mapping[str, RunDocument]
) -> WideTable:
    shown = {
        "extra_memory": "Extra memory, KB (analytic)",
        "peak_sram": "Peak SRAM, KB",
        "step_ticks": "A training step",
        "accuracy_after": "Top-1 after training",
    }
    present = [name for name in shown if any(name in cell for cell in cells.values())]
    units = {"extra_memory": "KB", "peak_sram": "KB"}
    ordered = sorted(cells.items(), key=lambda item: _size(item[1]))
    rows = []
    for method, found in ordered:
        values = [
            own_value(found[name], units.get(name, "")) if name in found else Value() for name in present
        ]
        kinds = dict.fromkeys(f"{found[name].kind}" for name in present[1:] if name in found)
        rows.append((Value(method), *values, _budget(found.get("peak_sram"), runs), Value(", ".join(kinds))))
    about = f"{network}, {dataset}" if dataset else network
    headings = [Heading("Method", True), *(Heading(shown[name]) for name in present)]
    return WideTable(
        f"{about}: every method that ran",
        (*headings, Heading("Budget", True), Heading("Kind", True)),
        tuple(rows),
    )


def _size(cell: Mapping[str, Own]) -> float:
    own = cell.get("extra_memory") or cell.get("peak_sram")
    return 0.0 if own is None else own.value


def _budget(own: Own | None, runs: Mapping[str, RunDocument]) -> Value:
    for path in own.runs if own is not None else ():
        sram = runs[path].sram if path in runs else None
        if sram is not None and sram.budget_bytes is not None:
            part = f"{sram.budget_part}, {sram.budget_bytes // KB} KB"
            if sram.lacking_bytes:
                return Value(f"lacks {count(sram.lacking_bytes)} bytes", part, "bad")
            return Value("fits", part, "good")
    return Value()


def missing_table(document: PaperDocument) -> WideTable | None:
    """Cells without any figure, by reason; None where there are none."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for line in document.lines:
        if line.own is None and line.status in ("not-run", "failed"):
            name = ", ".join(part for part in (line.network, line.dataset, line.method) if part)
            found = reasons.setdefault((line.status, line.reason), [])
            if name not in found:
                found.append(name)
    rows = tuple(
        (
            Value(reason, tone="bad" if status == "failed" else ""),
            Value("failed" if status == "failed" else "not run"),
            Value(count(len(names))),
            Value("; ".join(names)),
        )
        for (status, reason), names in reasons.items()
    )
    headings = (Heading("Why", True), Heading("Status", True), Heading("Cells"), Heading("Which", True))
    return WideTable("Cells without a figure, by reason", headings, rows) if rows else None
