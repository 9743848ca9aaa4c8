"""What a guard process is told, and what it says: one JSON object a line. And places, as both know them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from harness.declaration import Strict
from harness.farm.selection import Selection

DEFAULT_PORT = 20408
"""labgrid's."""


class Resource(Strict):
    """What an exporter offers: a serial port, a debugger."""

    exporter: str
    group: str
    name: str
    cls: str
    """labgrid's name of its class."""
    parameters: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    available: bool = True
    proxy: str | None = None
    """The machine through which, by ssh, it has to be reached; None: `host` can be reached from here."""

    def __str__(self) -> str:
        return f"{self.exporter}/{self.group}/{self.cls}/{self.name}"


class Place(Strict):
    """A place as the coordinator has it, with the resources that it matches now."""

    name: str
    tags: dict[str, str] = Field(default_factory=dict)
    holder: str | None = None
    """Who has acquired it, `host/user`; None: it is free."""
    changed: float = 0.0
    """Seconds since 1970: when it was acquired or released last."""
    resources: tuple[Resource, ...] = ()

    @property
    def target(self) -> str | None:
        """Name of the target that the board at the place is."""
        return self.tags.get("target")

    @property
    def exporters(self) -> str:
        """Names of the machines that its resources are at."""
        return ", ".join(sorted({resource.exporter for resource in self.resources}))


class NewPlace(Strict):
    """A place to be made, if it is not there."""

    name: str
    tags: dict[str, str]
    match: str
    """labgrid's pattern, `exporter/group/class`."""


class ListPlaces(Strict):
    do: Literal["list"] = "list"
    coordinator: str
    seconds: float


class HoldPlace(Strict):
    """Acquire a place, and hold it until the guard's standard input ends."""

    do: Literal["hold"] = "hold"
    coordinator: str
    seconds: float
    target: str
    selection: Selection


class ReleasePlace(Strict):
    do: Literal["release"] = "release"
    coordinator: str
    seconds: float
    place: str
    holder: str | None = None
    """Release it only where this one has it; None: whoever has it."""


class MakePlaces(Strict):
    do: Literal["make"] = "make"
    coordinator: str
    seconds: float
    places: tuple[NewPlace, ...]


Command = Annotated[ListPlaces | HoldPlace | ReleasePlace | MakePlaces, Field(discriminator="do")]
COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


class Event(Strict):
    """What a guard says. `done` ends every conversation that did not fail."""

    event: Literal["connected", "places", "held", "lost", "failed", "done"]
    message: str = ""
    places: tuple[Place, ...] = ()
    holder: str = ""
    """The name under which the guard holds."""
