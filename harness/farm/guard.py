"""The guard: a process that acquires a place and gives it back, whatever becomes of the one that wanted it.

labgrid's coordinator does not release a place when its client vanishes. The guard holds the place as long as
its standard input is open, which ends with its owner, however that ends. It is in a session of its own, so
that what kills its owner's process group does not reach it. Where the guard itself is killed, its owner
releases the place, and where both are, whoever uses the farm next on this machine (`naming`).
"""

from __future__ import annotations

import os
import select
import signal
import sys

from pydantic import ValidationError

from harness.deadline import Deadline
from harness.errors import FarmError
from harness.farm.access import SERIAL
from harness.farm.coordinator import Coordinator
from harness.farm.guard_seconds import CONNECT_SECONDS, RELEASE_SECONDS, RESOURCE_SECONDS
from harness.farm.messages import (
    COMMAND,
    Command,
    Event,
    HoldPlace,
    ListPlaces,
    MakePlaces,
    Place,
    ReleasePlace,
    Resource,
)
from harness.farm.naming import GuardName

_POLL_SECONDS = 0.2


def main() -> int:
    """Read one command from standard input, do it, and say on standard output what comes of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.dup2(os.open(os.devnull, os.O_RDONLY), 0))
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        command = COMMAND.validate_json(sys.stdin.readline())
        deadline = Deadline.after(command.seconds)
        connecting = Deadline.after(CONNECT_SECONDS)
        with Coordinator(command.coordinator, GuardName.ours(), connecting) as coordinator:
            coordinator.release_dead(connecting)
            _do(command, coordinator, deadline)
    except FarmError as error:
        _say(Event(event="failed", message=str(error)))
        return 3
    except ValidationError as error:
        _say(Event(event="failed", message=f"a guard was told what it does not understand: {error}"))
        return 2
    _say(Event(event="done"))
    return 0


def _do(command: Command, coordinator: Coordinator, deadline: Deadline) -> None:
    match command:
        case ListPlaces():
            _say(Event(event="places", places=tuple(coordinator.places())))
        case ReleasePlace():
            coordinator.release(command.place, command.holder, deadline)
        case MakePlaces():
            for place in command.places:
                coordinator.make(place, deadline)
        case HoldPlace():
            _say(Event(event="connected", holder=coordinator.name))
            _hold(command, coordinator, deadline)


def _hold(command: HoldPlace, coordinator: Coordinator, deadline: Deadline) -> None:
    place = _acquire(command, coordinator, deadline)
    if place is None:  # nobody wants it any more
        return
    try:
        _say(Event(event="held", places=(place,), holder=coordinator.name))
        while not _owner_gone(_POLL_SECONDS):
            if (reason := _lost(coordinator, place)) is not None:
                _say(Event(event="lost", message=reason))
                break
    finally:
        coordinator.release(place.name, coordinator.name, Deadline.after(RELEASE_SECONDS))


def _lost(coordinator: Coordinator, place: Place) -> str | None:
    """Why the place is not ours any more."""
    if coordinator.lost is not None:
        return f"the labgrid coordinator {coordinator.address} is gone: {coordinator.lost}"
    now = next((found for found in coordinator.places() if found.name == place.name), None)
    if now is None:
        return f"place {place.name} was deleted"
    if now.holder != coordinator.name:
        return (
            f"place {place.name} was taken from us: it is {f'held by {now.holder}' if now.holder else 'free'}"
        )
    return None


def _acquire(command: HoldPlace, coordinator: Coordinator, deadline: Deadline) -> Place | None:
    """A free place, ours; None: the owner is gone. FarmError: there is none, or none came free in time."""
    while True:
        fitting = candidates(coordinator.places(), command)
        for place in fitting:
            if _owner_gone(0.0):
                return None
            if place.holder is None and place.resources and coordinator.acquire(place.name, deadline):
                if (ready := _with_resources(coordinator, place.name, deadline)) is not None:
                    return ready
                coordinator.release(place.name, coordinator.name, Deadline.after(RELEASE_SECONDS))
        if deadline.expired:
            raise FarmError(why_none(fitting, command))
        if coordinator.lost is not None:
            raise FarmError(f"the labgrid coordinator {coordinator.address} is gone: {coordinator.lost}")
        if _owner_gone(0.0):
            return None
        coordinator.wait(min(_POLL_SECONDS, deadline.remaining()))


def candidates(places: list[Place], command: HoldPlace) -> list[Place]:
    """Places of the wanted target and tags; that which has been idle longest first, so that all are used."""
    fitting = [p for p in places if p.target == command.target and command.selection.matches(p.tags)]
    return sorted(fitting, key=lambda place: (place.changed, place.name))


def why_none(fitting: list[Place], command: HoldPlace) -> str:
    """One sentence: who has the places, or that there are none."""
    if not fitting:
        return f"the farm has no place of target {command.target} for {command.selection}"
    states = []
    for place in fitting:
        held = f"held by {place.holder}" if place.holder else None
        states.append(f"{place.name} {held or ('not to be had' if place.resources else 'without resources')}")
    return (
        f"no place of target {command.target} for {command.selection} came free in {command.seconds:g} s:"
        f" {', '.join(states)}"
    )


def _with_resources(coordinator: Coordinator, name: str, deadline: Deadline) -> Place | None:
    """The place once all of its resources are there; None where they do not come."""
    until = deadline.within(RESOURCE_SECONDS)
    while True:
        place = next((found for found in coordinator.places() if found.name == name), None)
        if place is None:
            return None
        ours = place.holder == coordinator.name and bool(place.resources)
        if ours and all(map(_ready, place.resources)):
            return place
        if until.expired or coordinator.lost is not None:
            return None
        coordinator.wait(min(_POLL_SECONDS, until.remaining()))


def _ready(resource: Resource) -> bool:
    """An exporter opens a serial port to the network, and tells its number, once it was acquired."""
    return resource.available and not (resource.cls == SERIAL and resource.parameters.get("port") is None)


def _owner_gone(seconds: float) -> bool:
    """Whether standard input ends within so long. What is written to it after the command has no meaning."""
    readable, _, _ = select.select([0], [], [], seconds)
    return bool(readable) and not os.read(0, 4096)


def _say(event: Event) -> None:
    try:
        os.write(1, event.model_dump_json().encode() + b"\n")
    except OSError:  # the owner does not listen any more
        return


if __name__ == "__main__":
    sys.exit(main())
