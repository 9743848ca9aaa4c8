"""Drivers of energy meters. Their packages are imported when one is opened."""

from __future__ import annotations

from harness.energy.settings import MeterSettings
from harness.measure.energy import EnergyMeter


def open_meter(settings: MeterSettings) -> EnergyMeter:
    """The meter that `settings` describe, ready to record. ToolMissingError, MeterError."""
    from harness.energy.ppk2 import open_ppk2

    return open_ppk2(settings)
