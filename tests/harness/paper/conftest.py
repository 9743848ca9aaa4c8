"""Cells of a paper suite without running anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.paper import PublishedFigure
from harness.paper.figures import OwnCell
from harness.results.paper import FigureName, Own

MakeCell = Callable[..., OwnCell]


@pytest.fixture(scope="session")
def own_figure() -> Callable[..., Own]:
    """own_figure(value, unit, **fields)"""

    def make(value: float, unit: str = "bytes", **fields: object) -> Own:
        kind = "simulated" if unit == "instructions" else "measured"
        about = {"kind": kind, "target": "qemu", "runs": ("a.run.json",)}
        return Own.model_validate({**about, "value": value, "unit": unit, **fields})

    return make


@pytest.fixture(scope="session")
def own_cell() -> MakeCell:
    """own_cell(method, figures, network=…, dataset=…, **fields); costs where there is no dataset."""

    def make(
        method: str,
        figures: dict[FigureName, Own],
        network: str = "mcunet-5fps",
        dataset: str = "",
        **fields: object,
    ) -> OwnCell:
        protocol = "accuracy" if dataset else "cost"
        return OwnCell(protocol, network, dataset, method, figures, **fields)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def figure() -> Callable[..., PublishedFigure]:
    """figure(value, **fields) of table T on mcunet-5fps."""

    def make(value: float, **fields: object) -> PublishedFigure:
        about: dict[str, object] = {
            "place": "T, row r, column c",
            "table": "T",
            "title": "",
            "figure": "peak_sram",
            "unit": "KB",
            "plus_minus": None,
            "plus_minus_means": "",
            "network": "mcunet-5fps",
            "dataset": "",
            "methods": (),
            "row": "r",
            "column": "c",
            "note": "",
        }
        return PublishedFigure(value=value, **{**about, **fields})  # type: ignore[arg-type]

    return make
