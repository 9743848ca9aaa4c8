"""The rack file: which boards there are. TOML, one `[[boards]]` table a board.

state = "/var/lib/trainbench"   # locks and quarantine of all who use these boards; absent: the user's own

[[boards]]
name = "f746-1"
target = "stm32f746g-disco"
probe = "066DFF303451343257215418"   # USB serial number of the debug probe
serial = "066DFF303451343257215418"  # the same of the serial adapter; absent: it is the probe's
idcode = 0x10016449                  # what the board answers at the target's identification register
uid = "003400243137510939383538"     # the chip's unique ID as read, hexadecimal
power = ["uhubctl", "-l", "1-1", "-p", "2", "-a", "cycle", "-d", "2"]
tags = ["m7"]
meter = { driver = "ppk2", serial = "D1A2B3C4D5E6", mode = "ampere", supply_millivolts = 3300 }
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from pydantic import Field, ValidationError, field_validator, model_validator

from harness.declaration import Strict
from harness.energy.settings import MeterSettings
from harness.errors import RackError, UsageError
from harness.rack.state import state_folder

VARIABLE = "TRAINBENCH_RACK"
DEFAULT = "rack.toml"


class Board(Strict):
    """One board. Serial numbers are those of USB devices, never of device files."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    target: str
    probe: str = Field(min_length=1)
    serial: str = ""
    """Empty: the serial port belongs to the probe."""
    idcode: int | None = Field(default=None, ge=0, lt=2**32)
    uid: str | None = Field(default=None, pattern=r"^([0-9a-f]{2})+$")
    power: tuple[str, ...] = ()
    """The command that takes its power away and gives it back; `{board}` and `{probe}` are replaced."""
    tags: tuple[str, ...] = ()
    meter: MeterSettings | None = None
    """The energy meter in its supply."""

    @field_validator("uid", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def serial_number(self) -> str:
        """Of the USB device with the serial port."""
        return self.serial or self.probe


class Rack(Strict):
    """All boards that can be reached from this machine."""

    state: Path | None = None
    boards: tuple[Board, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Rack:
        for what in ("name", "probe", "uid"):
            values = [getattr(board, what) for board in self.boards if getattr(board, what)]
            for value in values:
                if values.count(value) > 1:
                    raise ValueError(f"two boards have the {what} {value!r}")
        return self

    @property
    def folder(self) -> Path:
        """Of locks and quarantine."""
        return self.state or state_folder()

    def board(self, name: str) -> Board:
        """The board of that name; UsageError where there is none."""
        for board in self.boards:
            if board.name == name:
                return board
        names = ", ".join(board.name for board in self.boards) or "none"
        raise UsageError(f"there is no board named {name!r} in the rack file; there are: {names}")

    def boards_of(self, target: str, tags: tuple[str, ...] = ()) -> tuple[Board, ...]:
        """Boards of `target` that have all of `tags`, in the file's order."""
        return tuple(b for b in self.boards if b.target == target and set(tags) <= set(b.tags))


def find_rack(given: Path | None = None) -> Rack:
    """The rack file that is given, or named by $TRAINBENCH_RACK, or `rack.toml` here; else an empty rack."""
    named = given or (Path(value) if (value := os.environ.get(VARIABLE)) else None)
    if named is None and not Path(DEFAULT).is_file():
        return Rack()
    return load_rack((named or Path(DEFAULT)).expanduser())


def load_rack(path: Path) -> Rack:
    """Read a rack file; RackError says what is wrong with it."""
    try:
        rack = Rack.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RackError(f"the rack file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RackError(f"the rack file {path} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RackError(f"the rack file {path}: {f'{where}: ' if where else ''}{first['msg']}") from error
    if rack.state is None:
        return rack
    return rack.model_copy(update={"state": path.parent.absolute() / rack.state.expanduser()})
