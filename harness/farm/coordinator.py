"""A labgrid coordinator, over its gRPC protocol.

Imported by guard processes only: gRPC and forks do not mix.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import grpc
from labgrid.remote.common import Place as LabgridPlace
from labgrid.remote.common import ResourceEntry
from labgrid.remote.generated import labgrid_coordinator_pb2 as pb
from labgrid.remote.generated.labgrid_coordinator_pb2_grpc import CoordinatorStub
from labgrid.util import labgrid_version

from harness.deadline import Deadline
from harness.errors import FarmError
from harness.farm.messages import DEFAULT_PORT, NewPlace, Place, Resource
from harness.farm.naming import GuardName

_OPTIONS = [
    # As labgrid's own client: a coordinator that is gone is noticed within 20 seconds.
    ("grpc.keepalive_time_ms", 7500),
    ("grpc.keepalive_timeout_ms", 10000),
    ("grpc.http2.ping_timeout_ms", 10000),
    ("grpc.http2.max_pings_without_data", 0),
]
Path = tuple[str, str, str]
"""Of a resource: exporter, group, name."""


class Coordinator:
    """A session as client `name`. Places and resources are kept up to date by a thread."""

    def __init__(self, address: str, name: GuardName, deadline: Deadline) -> None:
        """Connect, and wait for what there is; FarmError where nobody answers."""
        self.address = address if ":" in address else f"{address}:{DEFAULT_PORT}"
        self.name = str(name)
        self._changed = threading.Condition()
        self._places: dict[str, LabgridPlace] = {}
        self._resources: dict[Path, ResourceEntry] = {}
        self._lost: str | None = None
        self._synchronized = False
        self._outgoing: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._channel = grpc.insecure_channel(self.address, options=_OPTIONS)
        self._stub = CoordinatorStub(self._channel)
        self._send(startup=pb.StartupDone(version=labgrid_version(), name=self.name))
        self._send(subscribe=pb.Subscribe(all_places=True))
        self._send(subscribe=pb.Subscribe(all_resources=True))
        self._send(sync=pb.Sync(id=1))
        stream = self._stub.ClientStream(iter(self._outgoing.get, None))
        threading.Thread(target=self._listen, args=(stream,), daemon=True).start()
        with self._changed:
            self._changed.wait_for(lambda: self._synchronized or self._lost, deadline.remaining())
        if not self._synchronized:
            self.close()
            reason = self._lost or f"no answer in {deadline.seconds:g} s"
            raise FarmError(f"no labgrid coordinator at {self.address}: {reason}")

    @property
    def lost(self) -> str | None:
        """Why the session is over; None while it lives."""
        return self._lost

    def places(self) -> list[Place]:
        """All places, by name, with the resources that each matches."""
        with self._changed:
            return [self._place(place) for _, place in sorted(self._places.items())]

    def wait(self, seconds: float) -> None:
        """Until something changes, at most so long."""
        with self._changed:
            self._changed.wait(seconds)

    def acquire(self, place: str, deadline: Deadline) -> bool:
        """Take `place`; False where somebody was quicker, or its exporter does not give its resources."""
        try:
            self._stub.AcquirePlace(
                pb.AcquirePlaceRequest(placename=place), timeout=max(0.1, deadline.remaining())
            )
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.PERMISSION_DENIED):
                return False
            raise self._failed(f"acquiring place {place}", error) from error
        return True

    def release(self, place: str, holder: str | None, deadline: Deadline) -> None:
        """Give `place` back where `holder` has it; None: whoever has it. It may be free already."""
        request = pb.ReleasePlaceRequest(placename=place)
        if holder is not None:
            request.fromuser = holder
        try:
            self._stub.ReleasePlace(request, timeout=max(0.1, deadline.remaining()))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise self._failed(f"releasing place {place}", error) from error

    def release_dead(self, deadline: Deadline) -> list[str]:
        """Release what dead guards of this machine have left; the names of the places."""
        left = []
        for place in self.places():
            guard = GuardName.parse(place.holder or "")
            if guard is not None and guard.dead:
                self.release(place.name, place.holder, deadline)
                left.append(place.name)
        return left

    def make(self, new: NewPlace, deadline: Deadline) -> None:
        """Make a place; one that is there gets the tags and the match."""
        calls = (
            ("AddPlace", pb.AddPlaceRequest(name=new.name)),
            ("SetPlaceTags", pb.SetPlaceTagsRequest(placename=new.name, tags=new.tags)),
            ("AddPlaceMatch", pb.AddPlaceMatchRequest(placename=new.name, pattern=new.match)),
        )
        for call, request in calls:
            try:
                getattr(self._stub, call)(request, timeout=max(0.1, deadline.remaining()))
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                    raise self._failed(f"making place {new.name}", error) from error

    def close(self) -> None:
        self._outgoing.put(None)
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, **message: Any) -> None:
        self._outgoing.put(pb.ClientInMessage(**message))

    def _listen(self, stream: Iterator[Any]) -> None:
        reason = "it ended the session"
        try:
            for message in stream:
                with self._changed:
                    for update in message.updates:
                        self._take(update)
                    self._synchronized |= message.HasField("sync")
                    self._changed.notify_all()
        except grpc.RpcError as error:
            reason = _details(error)
        except (KeyError, ValueError, AssertionError) as error:
            reason = f"it sent what this trainbench does not understand ({error!r})"
        with self._changed:
            self._lost = reason
            self._changed.notify_all()

    def _take(self, update: Any) -> None:
        kind = update.WhichOneof("kind")
        if kind == "place":
            self._places[update.place.name] = LabgridPlace.from_pb2(update.place)
        elif kind == "del_place":
            self._places.pop(update.del_place, None)
        elif kind == "resource":
            self._resources[_path(update.resource.path)] = ResourceEntry(
                ResourceEntry.data_from_pb2(update.resource)
            )
        elif kind == "del_resource":
            self._resources.pop(_path(update.del_resource), None)

    def _place(self, place: LabgridPlace) -> Place:
        resources = tuple(
            Resource(
                exporter=exporter,
                group=group,
                name=name,
                cls=entry.cls,
                parameters=_plain(entry.params),
                available=bool(entry.avail),
                proxy=_proxy(entry.params),
            )
            for (exporter, group, name), entry in sorted(self._resources.items())
            if place.hasmatch((exporter, group, entry.cls, name))
        )
        return Place(
            name=place.name,
            tags=dict(place.tags),
            holder=place.acquired or None,
            changed=place.changed,
            resources=resources,
        )

    def _failed(self, doing: str, error: grpc.RpcError) -> FarmError:
        return FarmError(f"{doing} at the labgrid coordinator {self.address} failed: {_details(error)}")


def _plain(parameters: Mapping[str, Any]) -> dict[str, str | int | float | bool | None]:
    """Without lists and tables: classes that have such are of no use to us, but may be at a place."""
    return {
        key: value
        for key, value in parameters.items()
        if value is None or isinstance(value, str | int | float | bool)
    }


def _proxy(parameters: Mapping[str, Any]) -> str | None:
    """The machine that an isolated exporter names."""
    extra = parameters.get("extra")
    if not isinstance(extra, Mapping) or not extra.get("proxy_required"):
        return None
    return str(extra.get("proxy"))


def _path(path: Any) -> Path:
    return path.exporter_name, path.group_name, path.resource_name


def _details(error: grpc.RpcError) -> str:
    details = getattr(error, "details", None)
    return str((details() if callable(details) else None) or error)
