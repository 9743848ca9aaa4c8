"""Quotients of two published figures beside the quotient of ours: what can be compared across units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fixtures.paper import PublishedFigure
from harness.paper.figures import OwnCell
from harness.paper.suite import PaperSuite, Ratio
from harness.results.paper import Own, Quotient

OWN_FIGURE = "step_ticks"


def quotients(
    suite: PaperSuite, published: Sequence[PublishedFigure], cells: Sequence[OwnCell]
) -> tuple[Quotient, ...]:
    """Those that the suite declares; one for each method where the paper does not name its scheme."""
    return tuple(
        quotient
        for ratio in suite.ratios
        for over, under in _pairs(ratio, published)
        for quotient in _beside(suite, ratio, over, under, cells)
    )


def _pairs(
    ratio: Ratio, published: Sequence[PublishedFigure]
) -> Iterator[tuple[PublishedFigure, PublishedFigure]]:
    table = [figure for figure in published if figure.table == ratio.table]
    if ratio.between == "columns":
        by_place = {(figure.row, figure.column): figure for figure in table}
        for row in dict.fromkeys(figure.row for figure in table):
            if (row, ratio.over) in by_place and (row, ratio.under) in by_place:
                yield by_place[row, ratio.over], by_place[row, ratio.under]
        return
    by_row = {figure.row: figure for figure in table if figure.column == ratio.within}
    if ratio.over in by_row and ratio.under in by_row:
        yield by_row[ratio.over], by_row[ratio.under]


def _beside(
    suite: PaperSuite, ratio: Ratio, over: PublishedFigure, under: PublishedFigure, cells: Sequence[OwnCell]
) -> Iterator[Quotient]:
    where = f"row {over.row}" if ratio.between == "columns" else f"column {over.column}"
    fields = {
        "title": ratio.title,
        "place": f"{ratio.table}, {where}",
        "published": over.value / under.value,
        "published_of": f"{over.value:g} {over.unit} / {under.value:g} {under.unit}",
    }
    for first, second in _methods(suite, over, under):
        one, other = _ticks(cells, over.network, first), _ticks(cells, under.network, second)
        named = f"{over.network} {first} / {under.network} {second}"
        if one is None or other is None:
            lacking = first if one is None else second
            network = over.network if one is None else under.network
            yield Quotient.model_validate(
                {**fields, "own_of": named, "reason": f"{lacking} of {network} gave no ticks"}
            )
            continue
        if (one.unit, one.kind, one.target) != (other.unit, other.kind, other.target):
            reason = f"{one.unit} on {one.target} and {other.unit} on {other.target}"
            yield Quotient.model_validate({**fields, "own_of": named, "reason": reason})
            continue
        yield Quotient.model_validate(
            {
                **fields,
                "own": one.value / other.value,
                "own_of": f"{named}: {one.value:.0f} / {other.value:.0f} {one.unit}",
                "kind": one.kind,
            }
        )


def _methods(suite: PaperSuite, over: PublishedFigure, under: PublishedFigure) -> Iterator[tuple[str, str]]:
    """Between networks the same method; where a network has none of that name, the pair is left out."""
    firsts = [m.name for m in suite.methods_of(over.network) if m.name in over.methods]
    seconds = [m.name for m in suite.methods_of(under.network) if m.name in under.methods]
    for first in firsts:
        for second in seconds:
            if over.network == under.network or first == second:
                yield first, second


def _ticks(cells: Sequence[OwnCell], network: str, method: str) -> Own | None:
    for cell in cells:
        if (cell.network, cell.method, cell.status) == (
            network,
            method,
            "done",
        ) and OWN_FIGURE in cell.figures:
            return cell.figures[OWN_FIGURE]
    return None
