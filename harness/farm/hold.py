"""Holding a place of the farm, from the side of the one that needs it. The work is a guard's (`guard`)."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from importlib.util import find_spec

from pydantic import ValidationError

from harness.deadline import Deadline
from harness.errors import FarmError, ToolMissingError, UsageError
from harness.farm.guard_seconds import CONNECT_SECONDS, RELEASE_SECONDS
from harness.farm.messages import (
    Command,
    Event,
    HoldPlace,
    ListPlaces,
    MakePlaces,
    NewPlace,
    Place,
    ReleasePlace,
)
from harness.farm.selection import Selection

COORDINATOR_VARIABLE = "LG_COORDINATOR"
WAIT_SECONDS = 1800.0
"""How long a measurement waits for a place to come free."""
_LONGEST_LINE = 1 << 22
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Farm:
    """Which places of which coordinator a measurement may take."""

    coordinator: str
    selection: Selection
    wait_seconds: float = WAIT_SECONDS
    places: int = 1
    """How many there are, free or not."""

    def lane(self, target: str) -> str:
        """What a job on one of its places of `target` occupies, for a scheduler."""
        return f"{target} of {self.selection}"


def coordinator_address(given: str | None = None) -> str:
    """`given`, or labgrid's $LG_COORDINATOR; UsageError where neither is there."""
    address = given or os.environ.get(COORDINATOR_VARIABLE)
    if not address:
        raise UsageError(
            f"a farm needs to know its labgrid coordinator: give --coordinator HOST:PORT or set"
            f" ${COORDINATOR_VARIABLE}"
        )
    return address


class Guard:
    """A guard process and the conversation with it. It ends when `close` is called or we end."""

    def __init__(self, command: Command) -> None:
        if find_spec("labgrid") is None:
            raise ToolMissingError(
                "a board farm needs labgrid, which is not installed; run: pip install 'trainbench[farm]'"
            )
        self._pending = b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.farm.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command.model_dump_json().encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # its end is seen when it is asked for an event
            return

    @property
    def pid(self) -> int:
        return self._process.pid

    def event(self, deadline: Deadline) -> Event:
        """The next thing it says; FarmError where it says that it failed, ends, or says nothing in time."""
        line = self._line(deadline)
        try:
            event = Event.model_validate_json(line)
        except ValidationError as error:
            raise FarmError(f"a guard of the farm said what makes no sense: {line[:200]!r}") from error
        if event.event == "failed":
            raise FarmError(event.message)
        return event

    def heard(self) -> Event | None:
        """What it has said meanwhile; None: nothing. FarmError as above."""
        if b"\n" not in self._pending and not self._readable(0.0):
            return None
        return self.event(Deadline.after(1.0))

    def close(self, seconds: float = RELEASE_SECONDS) -> bool:
        """Let go of the guard, and wait for its end; whether it said that it is done."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        done = False
        until = Deadline.after(seconds)
        try:
            while not done:
                done = self.event(until).event == "done"
        except FarmError:
            done = False
        finally:
            self._end(until)
        return done

    def _end(self, until: Deadline) -> None:
        try:
            self._process.wait(max(0.1, until.remaining()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _line(self, deadline: Deadline) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._pending:
            if not self._readable(deadline.remaining()):
                raise FarmError(f"a guard of the farm said nothing in {deadline.seconds:g} s")
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data or len(self._pending) > _LONGEST_LINE:
                raise FarmError(f"the guard of the farm ended (exit code {self._process.poll()})")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _readable(self, seconds: float) -> bool:
        assert self._process.stdout is not None
        if self._process.stdout.closed:
            return False
        return bool(select.select([self._process.stdout], [], [], seconds)[0])


class Held:
    """A place that is ours. `check` before anything measured there is believed."""

    def __init__(self, farm: Farm, place: Place, holder: str, guard: Guard) -> None:
        self.place = place
        self.holder = holder
        self._farm = farm
        self._guard = guard
        self._lost: str | None = None

    @property
    def coordinator(self) -> str:
        """Its address."""
        return self._farm.coordinator

    def check(self) -> None:
        """FarmError where the place was lost meanwhile, however often asked: others may use the board."""
        if self._lost is None and (event := self._guard.heard()) is not None:
            self._lost = event.message or event.event
        if self._lost is not None:
            raise FarmError(f"place {self.place.name} was lost: {self._lost}")

    def gone(self, seconds: float, broken: Callable[[], str | None]) -> str | None:
        """Why the board is out of reach: its place was lost, or what `broken` says within `seconds`."""
        try:
            self.check()
        except FarmError as error:
            return str(error)
        until = Deadline.after(seconds)
        while (why := broken()) is None and not until.expired:
            time.sleep(min(_POLL_SECONDS, until.remaining()))
        return why

    def release(self) -> None:
        """Give it back. FarmError where that cannot be known to have happened."""
        if self._guard.close():
            return
        try:
            release_place(self._farm.coordinator, self.place.name, self.holder)
        except FarmError as error:
            raise FarmError(
                f"place {self.place.name} may still be acquired by {self.holder} ({error});"
                f" `trainbench farm release {self.place.name}` gives it back"
            ) from error


@contextmanager
def held_place(farm: Farm, target: str) -> Iterator[Held]:
    """A place of `target`, ours in the block. FarmError: none came free in time, or it was lost."""
    guard = Guard(
        HoldPlace(
            coordinator=farm.coordinator,
            seconds=farm.wait_seconds,
            target=target,
            selection=farm.selection,
        )
    )
    holder = ""
    try:
        deadline = Deadline.after(farm.wait_seconds + CONNECT_SECONDS)
        event = guard.event(deadline)
        while event.event == "connected":
            holder = event.holder
            event = guard.event(deadline)
        if event.event != "held" or len(event.places) != 1:
            raise FarmError(f"a guard of the farm said {event.event} instead of a place")
    except BaseException:
        # A place that it acquires at this very moment, it gives back as well.
        guard.close()
        raise
    held = Held(farm, event.places[0], holder, guard)
    try:
        yield held
    finally:
        held.release()


def place_for(farm: Farm | None, target: str) -> AbstractContextManager[Held | None]:
    """A place of `target` at `farm`, ours in the block; None where there is no farm."""
    return nullcontext() if farm is None else held_place(farm, target)


def list_places(coordinator: str, seconds: float = CONNECT_SECONDS) -> tuple[Place, ...]:
    """All places of a coordinator, by name."""
    events = _ask(ListPlaces(coordinator=coordinator, seconds=seconds))
    return next((event.places for event in events if event.event == "places"), ())


def release_place(coordinator: str, place: str, holder: str | None = None) -> None:
    """Release `place` where `holder` has it; None: whoever has it."""
    _ask(ReleasePlace(coordinator=coordinator, seconds=CONNECT_SECONDS, place=place, holder=holder))


def make_places(coordinator: str, places: tuple[NewPlace, ...]) -> None:
    """Make places that are not there; those that are get the tags and the match."""
    _ask(MakePlaces(coordinator=coordinator, seconds=CONNECT_SECONDS, places=places))


def _ask(command: Command) -> list[Event]:
    guard = Guard(command)
    try:
        deadline = Deadline.after(command.seconds + CONNECT_SECONDS)
        events = [guard.event(deadline)]
        while events[-1].event != "done":
            events.append(guard.event(deadline))
        return events
    finally:
        guard.close(1.0)
