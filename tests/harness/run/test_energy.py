"""Which board's energy is measured, and that a figure never comes of another board's meter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import MeterError, UsageError
from harness.rack.file import Rack
from harness.run.energy import Metered, cell_energy, metered_targets

METER = {"driver": "ppk2", "serial": "S1", "mode": "ampere", "supply_millivolts": 3300}


def rack(**fields: Any) -> Rack:
    board = {"name": "bench", "target": "qemu-mps2-an500", "probe": "P1", **fields}
    return Rack.model_validate({"boards": [board]})


@pytest.mark.parametrize(
    ("fields", "name", "targets", "words"),
    [
        ({}, "bench", ["qemu-mps2-an500"], "gives this board no meter"),
        ({"meter": METER}, "bench", ["host"], "nothing runs on its target, qemu-mps2-an500"),
        ({"meter": METER}, "bench", ["qemu-mps2-an500"], "draws no current"),
        ({"meter": METER}, "other", ["qemu-mps2-an500"], "no board named 'other'"),
    ],
)
def test_a_meter_that_cannot_measure_is_refused(
    fields: dict[str, Any], name: str, targets: list[str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        metered_targets(rack(**fields), [name], targets)


@pytest.mark.parametrize(
    "change", [{"mode": "both"}, {"supply_millivolts": 5001}, {"channel": 8}, {"serial": ""}, {"volts": 3}]
)
def test_a_meters_table_is_strictly_read(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="meter"):
        rack(meter={**METER, **change})


def test_another_board_than_the_meters_gives_no_figure() -> None:
    settings = rack(meter=METER).boards[0].meter
    assert settings is not None
    nothing: Any = None
    device: Any = SimpleNamespace(board="", name="qemu-mps2-an500")
    with pytest.raises(MeterError, match="board bench, but the trainer ran on qemu-mps2-an500"):
        cell_energy(nothing, Metered("bench", settings), device, nothing, nothing, nothing)
