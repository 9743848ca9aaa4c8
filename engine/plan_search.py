"""First-fit placement of shapes: greedy orders, and a counted local search over orders.

Of boxes, some order gives an optimal placement: that of the offsets of an optimal one. Of shapes that reach
under each other none need to; `engine/plan_solver.py` finds what orders miss.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from engine.plan_shapes import Buffer, Part, live_profile, lower_bound, rounded


@dataclass(frozen=True)
class Conflict:
    """What buffer `other` denies another one that lives beside it.

    `forbidden`: open intervals (low, high), in bytes from `other`'s offset, in which the offset of the
    denied buffer may not lie; one for each pair of parts that are live together.
    """

    other: int
    forbidden: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Problem:
    """The buffers sorted by name, and what every placement needs of them; tuples are indexed alike.

    `sizes`: bytes of the greatest part. `extents`: bytes up to the end of the highest part. `areas`: bytes ×
    operators. `profile`: bytes live at each operator. All rounded up to `alignment`.
    """

    buffers: tuple[Buffer, ...]
    alignment: int
    sizes: tuple[int, ...]
    extents: tuple[int, ...]
    areas: tuple[int, ...]
    conflicts: tuple[tuple[Conflict, ...], ...]
    profile: tuple[int, ...]
    lower_bound: int

    @classmethod
    def of(cls, buffers: Sequence[Buffer], alignment: int) -> Problem:
        """Of buffers with distinct names, whose starts are multiples of `alignment`."""
        ordered = tuple(sorted(buffers, key=lambda b: b.name))
        return cls(
            buffers=ordered,
            alignment=alignment,
            sizes=tuple(max(rounded(p.size, alignment) for p in b.parts) for b in ordered),
            extents=tuple(rounded(b.extent, alignment) for b in ordered),
            areas=tuple(
                sum(rounded(p.size, alignment) * (p.last - p.first) for p in b.parts) for b in ordered
            ),
            conflicts=_conflicts(ordered, alignment),
            profile=tuple(live_profile(ordered, alignment)),
            lower_bound=lower_bound(ordered, alignment),
        )


@dataclass(frozen=True)
class Placement:
    """Offsets by buffer index, the peak, and the order that first-fit took to get them; sizes in bytes."""

    offsets: tuple[int, ...]
    peak: int
    order: tuple[int, ...]
    order_name: str


def greedy_placements(problem: Problem) -> list[Placement]:
    """One placement for each greedy order, the lowest peak first; at equal peaks the order listed earlier."""
    placements = []
    for name, key in _GREEDY_ORDERS.items():
        keys = [(key(problem, i), i) for i in range(len(problem.buffers))]
        placements.append(first_fit(problem, tuple(i for _, i in sorted(keys)), name))
    return sorted(placements, key=lambda p: p.peak)


def first_fit(problem: Problem, order: tuple[int, ...], name: str, limit: int | None = None) -> Placement:
    """Place buffers in `order`, each at the lowest offset where no part of it meets one placed before.

    Stops at the first buffer that ends above `limit`; the peak then is above it, and the caller drops it.
    """
    unplaced = -1
    offsets = [unplaced] * len(order)
    peak = 0
    for index in order:
        denied = sorted(
            (offsets[conflict.other] + low, offsets[conflict.other] + high)
            for conflict in problem.conflicts[index]
            if offsets[conflict.other] != unplaced
            for low, high in conflict.forbidden
        )
        offset = 0
        for low, high in denied:
            if offset <= low:
                break  # the rest begins even higher
            offset = max(offset, high)
        offsets[index] = offset
        peak = max(peak, offset + problem.extents[index])
        if limit is not None and peak > limit:
            break
    return Placement(tuple(offsets), peak, order, name)


def best_improvement(problem: Problem, starts: Sequence[Placement], evaluations: int) -> Placement:
    """The lowest peak of walks from each of `starts`, which share the budget: each gets stuck elsewhere."""
    best = starts[0]
    for start in starts:
        improved = _walk(problem, start, evaluations // len(starts))
        if improved.peak < best.peak:
            best = improved
        if best.peak == problem.lower_bound:
            break
    return best


def _walk(problem: Problem, start: Placement, evaluations: int) -> Placement:
    """Move one buffer at a time; keep what does not raise the peak. At most `evaluations` moves."""
    generator = random.Random(0)  # a constant: the plan is a function of its input alone
    current = start
    for _ in range(evaluations):
        if current.peak == problem.lower_bound:
            break
        order = _moved(problem, current, generator)
        candidate = first_fit(problem, order, f"{start.order_name} + local search", limit=current.peak)
        if candidate.peak <= current.peak:
            current = candidate
    return current


def _moved(problem: Problem, placement: Placement, generator: random.Random) -> tuple[int, ...]:
    """The order with one buffer moved before one it conflicts with.

    Half of the time it is one that ends at the peak; else any, for what holds it up there may lie below.
    """
    order = list(placement.order)
    extents = problem.extents
    at_peak = [i for i, offset in enumerate(placement.offsets) if offset + extents[i] == placement.peak]
    mover = _pick(at_peak if generator.random() < 0.5 else order, generator)
    targets = [conflict.other for conflict in problem.conflicts[mover]]
    if targets:
        order.remove(mover)
        order.insert(order.index(_pick(targets, generator)), mover)
    return tuple(order)


def _pick(values: Sequence[int], generator: random.Random) -> int:
    """One of `values`; of the generator, Python keeps only `random()` alike from version to version."""
    return values[int(generator.random() * len(values))]


def _conflicts(buffers: Sequence[Buffer], alignment: int) -> tuple[tuple[Conflict, ...], ...]:
    """For each buffer, the others that some part of it meets in time."""
    found: list[tuple[Conflict, ...]] = []
    for index, buffer in enumerate(buffers):
        beside = (
            Conflict(other, _forbidden(buffer, neighbour, alignment))
            for other, neighbour in enumerate(buffers)
            if other != index and buffer.first < neighbour.last and neighbour.first < buffer.last
        )
        found.append(tuple(beside))
    return tuple(found)


def _forbidden(mover: Buffer, other: Buffer, alignment: int) -> tuple[tuple[int, int], ...]:
    """Open intervals of offset(mover) - offset(other) at which parts of the two share bytes."""
    return tuple(
        sorted(
            {
                (
                    b.start - a.start - rounded(a.size, alignment),
                    b.start + rounded(b.size, alignment) - a.start,
                )
                for a in mover.parts
                for b in other.parts
                if _together(a, b)
            }
        )
    )


def _together(a: Part, b: Part) -> bool:
    return a.first < b.last and b.first < a.last


def _by_size(problem: Problem, index: int) -> tuple[int, ...]:
    return (-problem.sizes[index], -_duration(problem, index))


def _by_duration(problem: Problem, index: int) -> tuple[int, ...]:
    return (-_duration(problem, index), -problem.sizes[index])


def _by_area(problem: Problem, index: int) -> tuple[int, ...]:
    return (-problem.areas[index],)


def _by_first_use(problem: Problem, index: int) -> tuple[int, ...]:
    return (problem.buffers[index].first, -problem.sizes[index])


def _by_conflicts(problem: Problem, index: int) -> tuple[int, ...]:
    """Most bytes of conflicting buffers first."""
    return (-sum(problem.sizes[c.other] for c in problem.conflicts[index]), -problem.sizes[index])


def _by_breadth(problem: Problem, index: int) -> tuple[int, ...]:
    """First the buffers of the fullest operator: what binds the lower bound is placed before the rest."""
    buffer = problem.buffers[index]
    return (-max(problem.profile[buffer.first : buffer.last]), -problem.sizes[index])


def _duration(problem: Problem, index: int) -> int:
    return problem.buffers[index].last - problem.buffers[index].first


_GREEDY_ORDERS: Mapping[str, Callable[[Problem, int], tuple[int, ...]]] = MappingProxyType(
    {
        "size": _by_size,
        "duration": _by_duration,
        "area": _by_area,
        "first-use": _by_first_use,
        "conflicts": _by_conflicts,
        "breadth": _by_breadth,
    }
)
