"""Arena planner: gives each buffer a byte offset, so that buffers live at the same time never overlap.

Pure functions over boxes (bytes × operators); nothing here knows what a graph is. The problem is dynamic
storage allocation, which is NP-hard: the planner takes the best of several greedy orders, improves them by
seeded local searches, and states the gap to a lower bound. `engine/plan_check.py` checks the outcome without
sharing code.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from engine.errors import PlanError

DEFAULT_ALIGNMENT = 4
"""Bytes; a float32 or an int32 needs no more on Cortex-M."""

DEFAULT_EVALUATIONS = 3000
"""Placements that the local searches may try in all. Counted, not timed: all machines make the same plan."""


@dataclass(frozen=True)
class Buffer:
    """`size` bytes that are live in the operators [`first`, `last`), half-open.

    Raises PlanError where `size` < 1, `first` < 0, `first` >= `last`, or `name` cannot stand in a C comment.
    """

    name: str
    size: int
    first: int
    last: int

    def __post_init__(self) -> None:
        if not self.name or "*" in self.name or not self.name.isprintable() or " " in self.name:
            raise PlanError(
                f"a buffer is named {self.name!r}; a name needs one or more printable characters "
                "and neither spaces nor asterisks"
            )
        if self.size < 1:
            raise PlanError(
                f"buffer {self.name} has a size of {self.size} bytes; "
                "leave buffers without bytes out of the plan"
            )
        if self.first < 0 or self.first >= self.last:
            raise PlanError(
                f"buffer {self.name} is live in operators [{self.first}, {self.last}); "
                "the first has to be 0 or more and less than the last"
            )


@dataclass(frozen=True)
class Plan:
    """Where each buffer lies. All figures in bytes, sizes rounded up to `alignment`.

    `placements`: (name, offset) sorted by name. `peak`: arena bytes. `lower_bound`: the most bytes live at
    once; no plan with this operator order can be smaller. `order`: the greedy order that gave the plan, and
    whether local search improved it.
    """

    placements: tuple[tuple[str, int], ...]
    peak: int
    lower_bound: int
    order: str
    alignment: int

    @cached_property
    def offsets(self) -> Mapping[str, int]:
        """Read-only name → byte offset from the start of the arena, sorted by name."""
        return MappingProxyType(dict(self.placements))

    @property
    def gap(self) -> int:
        """Bytes by which the peak may be above the best possible; 0 proves the plan optimal."""
        return self.peak - self.lower_bound


def plan_buffers(
    buffers: Sequence[Buffer],
    alignment: int = DEFAULT_ALIGNMENT,
    evaluations: int = DEFAULT_EVALUATIONS,
) -> Plan:
    """Place `buffers` in one arena; the same set in any order gives the same plan.

    `alignment` (bytes, a power of two) holds for every offset and the peak. `evaluations` bounds the local
    searches, which run only while the greedy orders leave a gap. Raises PlanError where two buffers share a
    name or an argument is out of range.
    """
    _refuse_bad_arguments(buffers, alignment, evaluations)
    problem = _Problem.of(sorted(buffers, key=lambda b: b.name), alignment)
    greedy = _greedy_placements(problem)
    best = greedy[0]
    if best.peak > problem.lower_bound:
        best = _best_improvement(problem, greedy, evaluations)
    placements = tuple((b.name, offset) for b, offset in zip(problem.buffers, best.offsets, strict=True))
    return Plan(placements, best.peak, problem.lower_bound, best.order_name, alignment)


def lower_bound(buffers: Sequence[Buffer], alignment: int = DEFAULT_ALIGNMENT) -> int:
    """The most bytes live at the same operator, each size rounded up to `alignment`."""
    events: list[tuple[int, int]] = []
    for buffer in buffers:
        size = _rounded(buffer.size, alignment)
        events += [(buffer.first, size), (buffer.last, -size)]
    live = most = 0
    # Lifetimes are half-open: at equal times the negative change sorts first.
    for _, change in sorted(events):
        live += change
        most = max(most, live)
    return most


@dataclass(frozen=True)
class _Problem:
    """The buffers sorted by name, and what every placement needs of them; lists are indexed alike."""

    buffers: tuple[Buffer, ...]
    sizes: tuple[int, ...]
    conflicts: tuple[tuple[int, ...], ...]
    lower_bound: int

    @classmethod
    def of(cls, buffers: Sequence[Buffer], alignment: int) -> _Problem:
        conflicts = tuple(
            tuple(j for j, b in enumerate(buffers) if j != i and a.first < b.last and b.first < a.last)
            for i, a in enumerate(buffers)
        )
        sizes = tuple(_rounded(b.size, alignment) for b in buffers)
        return cls(tuple(buffers), sizes, conflicts, lower_bound(buffers, alignment))


@dataclass(frozen=True)
class _Placement:
    """Offsets by buffer index, and the order that first-fit took to get them."""

    offsets: tuple[int, ...]
    peak: int
    order: tuple[int, ...]
    order_name: str


def _greedy_placements(problem: _Problem) -> list[_Placement]:
    """One placement for each greedy order, the lowest peak first; at equal peaks the order listed earlier."""
    placements = []
    for name, key in _GREEDY_ORDERS.items():
        keys = [(key(problem, i), i) for i in range(len(problem.buffers))]
        placements.append(_first_fit(problem, tuple(i for _, i in sorted(keys)), name))
    return sorted(placements, key=lambda p: p.peak)


def _first_fit(
    problem: _Problem, order: tuple[int, ...], order_name: str, limit: int | None = None
) -> _Placement:
    """Place buffers in `order`, each at the lowest free offset; stop at the first that ends above `limit`.

    Some order gives an optimal plan: that of the offsets of an optimal plan. Searching orders loses nothing.
    """
    unplaced = -1
    offsets = [unplaced] * len(order)
    sizes = problem.sizes
    peak = 0
    for index in order:
        occupied = sorted((offsets[j], sizes[j]) for j in problem.conflicts[index] if offsets[j] != unplaced)
        size = sizes[index]
        offset = 0
        for start, length in occupied:
            if offset + size <= start:
                break
            offset = max(offset, start + length)
        offsets[index] = offset
        peak = max(peak, offset + size)
        if limit is not None and peak > limit:
            break  # the caller drops it: its peak is above the limit
    return _Placement(tuple(offsets), peak, order, order_name)


def _best_improvement(problem: _Problem, starts: Sequence[_Placement], evaluations: int) -> _Placement:
    """The lowest peak of walks from each of `starts`, which share the budget: each gets stuck elsewhere."""
    best = starts[0]
    for start in starts:
        improved = _walk(problem, start, evaluations // len(starts))
        if improved.peak < best.peak:
            best = improved
        if best.peak == problem.lower_bound:
            break
    return best


def _walk(problem: _Problem, start: _Placement, evaluations: int) -> _Placement:
    """Move one buffer at a time; keep what does not raise the peak. At most `evaluations` moves."""
    generator = random.Random(0)  # a constant: the plan is a function of its input alone
    current = start
    for _ in range(evaluations):
        if current.peak == problem.lower_bound:
            break
        order = _moved(problem, current, generator)
        candidate = _first_fit(problem, order, f"{start.order_name} + local search", limit=current.peak)
        if candidate.peak <= current.peak:
            current = candidate
    return current


def _moved(problem: _Problem, placement: _Placement, generator: random.Random) -> tuple[int, ...]:
    """The order with one buffer moved before one it conflicts with.

    Half of the time it is one that ends at the peak; else any, for what holds it up there may lie below.
    """
    order = list(placement.order)
    at_peak = [i for i, offset in enumerate(placement.offsets) if offset + problem.sizes[i] == placement.peak]
    mover = _pick(at_peak if generator.random() < 0.5 else order, generator)
    targets = problem.conflicts[mover]
    if targets:
        order.remove(mover)
        order.insert(order.index(_pick(targets, generator)), mover)
    return tuple(order)


def _pick(values: Sequence[int], generator: random.Random) -> int:
    """One of `values`; of the generator, Python keeps only `random()` alike from version to version."""
    return values[int(generator.random() * len(values))]


def _by_size(problem: _Problem, index: int) -> tuple[int, ...]:
    return (-problem.sizes[index], -_duration(problem, index))


def _by_duration(problem: _Problem, index: int) -> tuple[int, ...]:
    return (-_duration(problem, index), -problem.sizes[index])


def _by_area(problem: _Problem, index: int) -> tuple[int, ...]:
    return (-_duration(problem, index) * problem.sizes[index],)


def _by_first_use(problem: _Problem, index: int) -> tuple[int, ...]:
    return (problem.buffers[index].first, -problem.sizes[index])


def _by_conflicts(problem: _Problem, index: int) -> tuple[int, ...]:
    """Most bytes of conflicting buffers first."""
    return (-sum(problem.sizes[j] for j in problem.conflicts[index]), -problem.sizes[index])


def _by_breadth(problem: _Problem, index: int) -> tuple[int, ...]:
    """First the buffers of the fullest operator: what binds the lower bound is placed before the rest."""
    buffer = problem.buffers[index]
    starts = {buffer.first, *(problem.buffers[j].first for j in problem.conflicts[index])}
    fullest = max(_live_beside(problem, index, time) for time in starts if time >= buffer.first)
    return (-fullest - problem.sizes[index], -problem.sizes[index])


def _live_beside(problem: _Problem, index: int, time: int) -> int:
    """Bytes of the buffers that conflict with `index` and are live at operator `time`."""
    others = ((problem.sizes[j], problem.buffers[j]) for j in problem.conflicts[index])
    return sum(size for size, other in others if other.first <= time < other.last)


def _duration(problem: _Problem, index: int) -> int:
    return problem.buffers[index].last - problem.buffers[index].first


_GREEDY_ORDERS: Mapping[str, Callable[[_Problem, int], tuple[int, ...]]] = MappingProxyType(
    {
        "size": _by_size,
        "duration": _by_duration,
        "area": _by_area,
        "first-use": _by_first_use,
        "conflicts": _by_conflicts,
        "breadth": _by_breadth,
    }
)


def _rounded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _refuse_bad_arguments(buffers: Sequence[Buffer], alignment: int, evaluations: int) -> None:
    if alignment < 1 or alignment & (alignment - 1):
        raise PlanError(f"the arena's alignment is {alignment} bytes; it has to be a power of two")
    if evaluations < 0:
        raise PlanError(f"the planner's budget is {evaluations} evaluations; it has to be 0 or more")
    seen: set[str] = set()
    for buffer in buffers:
        if buffer.name in seen:
            raise PlanError(f"two buffers are named {buffer.name}; each needs a name of its own")
        seen.add(buffer.name)
