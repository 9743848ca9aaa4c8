"""Which meter is in the supply of a board: the table `[boards.meter]` of a rack file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.declaration import Strict


class MeterSettings(Strict):
    """One meter and how it is wired."""

    driver: Literal["ppk2"]
    serial: str = Field(min_length=1)
    """USB serial number of the instrument."""
    mode: Literal["ampere", "source"]
    """ampere: the board's own supply passes through the meter. source: the meter supplies the board."""
    supply_millivolts: int = Field(ge=800, le=5000)
    """What the board is supplied with: in source mode the meter is set to it, else it is believed."""
    channel: int | None = Field(default=None, ge=0, le=7)
    """Digital input that the board holds high during a step; absent: this computer's clock tells steps."""
