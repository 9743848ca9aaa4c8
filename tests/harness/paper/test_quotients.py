from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.paper import PublishedFigure, published_figures
from harness.paper.figures import OwnCell
from harness.paper.quotients import quotients
from harness.paper.suite import load_paper_suite
from harness.results.paper import Own

SUITE = load_paper_suite("paper-latency")
PUBLISHED = [figure for figure in published_figures() if figure.table == "Fig. 10c"]


@pytest.fixture
def ticks(own_cell: Callable[..., OwnCell], own_figure: Callable[..., Own]) -> Callable[..., OwnCell]:
    def make(network: str, method: str, value: float, **fields: object) -> OwnCell:
        return own_cell(
            method, {"step_ticks": own_figure(value, **{"unit": "instructions", **fields})}, network=network
        )

    return make


def test_between_methods_and_between_networks(ticks: Callable[..., OwnCell]) -> None:
    cells = [
        ticks("mbv2-w0.35", "full", 900.0),
        ticks("mbv2-w0.35", "sparse-49kb", 300.0),
        ticks("mcunet-5fps", "sparse-49kb", 450.0),
    ]
    found = [one for one in quotients(SUITE, PUBLISHED, cells) if one.own is not None]
    assert [(one.title, one.own) for one in found] == [
        ("Full over sparse update, one engine", 3.0),
        ("Sparse update, MCUNet over MbV2", 1.5),
    ]
    assert found[0].published == pytest.approx(8501 / 3448)
    assert found[0].published_of == "8501 ms / 3448 ms"
    assert found[1].published == pytest.approx(546 / 373)
    assert all(one.kind == "simulated" for one in found)


def test_without_ticks_the_reason_is_told() -> None:
    found = quotients(SUITE, PUBLISHED, [])
    assert len(found) > 15
    assert all(one.own is None and "gave no ticks" in one.reason for one in found)


def test_ticks_of_two_targets_make_no_quotient(ticks: Callable[..., OwnCell]) -> None:
    cells = [
        ticks("mbv2-w0.35", "full", 900.0, target="board", unit="cycles", kind="measured"),
        ticks("mbv2-w0.35", "sparse-49kb", 300.0),
    ]
    (one,) = [
        one
        for one in quotients(SUITE, PUBLISHED, cells)
        if one.own_of.startswith("mbv2-w0.35 full / mbv2-w0.35 sparse-49kb")
    ]
    assert one.own is None
    assert one.reason == "cycles on board and instructions on qemu"


def test_published_figures_are_those_of_the_paper() -> None:
    def value(row: str, column: str) -> PublishedFigure:
        (found,) = [f for f in PUBLISHED if f.row == row and f.column.startswith(column)]
        return found

    assert value("MCUNet", "TTE").value == 546
