"""Options of the chaos test, known where its folder is named: `pytest tests/chaos --chaos-runs 200`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--chaos-runs", type=int, default=6, help="Runs with a random fault each.")
    group.addoption("--chaos-seed", type=int, default=1, help="Of the faults.")
    group.addoption("--chaos-seconds", type=float, default=0, help="Begin no run after so long; 0: no limit.")
    group.addoption("--chaos-slots", type=int, default=3, help="Runs at a time.")
    group.addoption("--chaos-kind", action="append", default=[], help="Only this fault; may be repeated.")
    group.addoption("--chaos-json", default=None, help="Where to write what happened.")
