"""How the methods of one column of the paper rank there and here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from scipy import stats

from fixtures.paper import PublishedFigure
from harness.paper.figures import OwnCell
from harness.paper.suite import MEAN, Order, PaperSuite
from harness.results.comparison import Cell, difference
from harness.results.paper import FigureName, Pair, Ranked
from harness.results.paper import Order as RankedOrder

ACCURACY: FigureName = "accuracy_after"


@dataclass(frozen=True)
class _Entry:
    figure: PublishedFigure
    cell: OwnCell


def orders(
    suite: PaperSuite, published: Sequence[PublishedFigure], cells: Sequence[OwnCell], note: str
) -> tuple[RankedOrder, ...]:
    """One for each declared order, network and dataset of which at least two methods were run."""
    done = [c for c in cells if c.protocol == "accuracy" and c.status == "done" and ACCURACY in c.figures]
    found = []
    for order in suite.orders:
        for network, dataset in dict.fromkeys((cell.network, cell.dataset) for cell in done):
            here = [cell for cell in done if (cell.network, cell.dataset) == (network, dataset)]
            entries = list(_entries(order, published, here, network, dataset))
            if len(entries) > 1:
                found.append(_ranked(order, entries, network, dataset, note))
    return tuple(found)


def _entries(
    order: Order, published: Sequence[PublishedFigure], here: Sequence[OwnCell], network: str, dataset: str
) -> Iterator[_Entry]:
    column = MEAN if order.of_mean else dataset
    names = order.names.get(network)
    by_name = {cell.method: cell for cell in here}
    for figure in published:
        if figure.table != order.table or figure.dataset != column or figure.figure != ACCURACY:
            continue
        for method in figure.methods:
            name = method if figure.network == network else (names or {}).get(method, "")
            if name in by_name:
                yield _Entry(figure, by_name[name])


def _ranked(order: Order, entries: Sequence[_Entry], network: str, dataset: str, note: str) -> RankedOrder:
    ranked = sorted(entries, key=lambda entry: -entry.figure.value)
    first = ranked[0].figure
    return RankedOrder(
        title=order.title,
        place=f"{first.table}, column {first.column}"
        + (f" ({first.network})" if first.network != network else ""),
        network=network,
        dataset=dataset,
        note=note,
        ranked=tuple(_row(entry) for entry in ranked),
        pairs=tuple(_pair(one, other) for one, other in combinations(ranked, 2)),
        rank_correlation=rank_correlation(
            [entry.figure.value for entry in ranked],
            [entry.cell.figures[ACCURACY].value for entry in ranked],
        ),
    )


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's; None for fewer than three values, or where all of one column are equal."""
    if len(first) < 3 or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    found = float(stats.spearmanr(first, second).statistic)
    return max(-1.0, min(1.0, found))


def _row(entry: _Entry) -> Ranked:
    own = entry.cell.figures[ACCURACY]
    low, high = (own.value if part is None else part for part in (own.low, own.high))
    return Ranked(
        method=entry.cell.method,
        published=entry.figure.value,
        own=100 * own.value,
        low=100 * low,
        high=100 * high,
    )


def _pair(ahead: _Entry, behind: _Entry) -> Pair:
    """Paired by seed and test image."""
    apart = ahead.figure.value - behind.figure.value
    blur = (ahead.figure.plus_minus or 0.0) + (behind.figure.plus_minus or 0.0)
    cells = [Cell(e.cell.method, "", e.cell.documents) for e in (ahead, behind)]
    ours = difference(cells[0], cells[1])
    if ours is None:
        raise ValueError(f"{ahead.cell.method} and {behind.cell.method} share no seed")
    verdict = "undecided"
    if apart <= blur + 1e-9:
        verdict = "tie"
    elif ours.distinguishable:
        verdict = "agree" if ours.value > 0 else "disagree"
    return Pair.model_validate(
        {
            "ahead": ahead.cell.method,
            "behind": behind.cell.method,
            "published": apart,
            "own": 100 * ours.value,
            "low": 100 * ours.low,
            "high": 100 * ours.high,
            "verdict": verdict,
        }
    )
