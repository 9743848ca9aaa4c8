"""`farm:TAG` among the targets that were asked for: which targets those are, and where their places are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import UsageError
from harness.farm.hold import Farm, coordinator_address, list_places
from harness.farm.messages import Place
from harness.farm.selection import Selection, is_farm
from harness.targets import load_target


@dataclass(frozen=True)
class Resolved:
    """Targets by name, and for those at a farm which places they may take."""

    targets: tuple[str, ...]
    farms: Mapping[str, Farm] = field(default_factory=dict)


def resolve_targets(names: Sequence[str], coordinator: str | None, wait_seconds: float) -> Resolved:
    """Ask the coordinator what `farm:` names mean. Without such a name nothing is asked.

    UsageError: a name means no place, a place's target is unknown, or a target is asked for in two ways.
    FarmError: there is no coordinator.
    """
    if not any(map(is_farm, names)):
        return Resolved(tuple(names))
    address = coordinator_address(coordinator)
    places = list_places(address)
    targets: list[str] = []
    farms: dict[str, Farm] = {}
    for name in names:
        found = {name: None} if not is_farm(name) else _farms(name, places, address, wait_seconds)
        for target, farm in found.items():
            if target in targets and farms.get(target) != farm:
                raise UsageError(f"target {target} is asked for in two ways; name its places in one farm:…")
            targets.append(target)
            if farm is not None:
                farms[target] = farm
    return Resolved(tuple(dict.fromkeys(targets)), farms)


def _farms(name: str, places: Sequence[Place], address: str, wait_seconds: float) -> dict[str, Farm]:
    """By target: the places that `name` means."""
    selection = Selection.parse(name)
    fitting = [place for place in places if place.target is not None and selection.matches(place.tags)]
    if not fitting:
        there = (
            ", ".join(f"{p.name} ({' '.join(f'{k}={v}' for k, v in sorted(p.tags.items()))})" for p in places)
            or "none"
        )
        raise UsageError(f"{name} means no place of the farm {address} with a target; places are: {there}")
    counts: dict[str, int] = {}
    for place in fitting:
        assert place.target is not None
        load_target(place.target)
        counts[place.target] = counts.get(place.target, 0) + 1
    return {target: Farm(address, selection, wait_seconds, count) for target, count in sorted(counts.items())}
