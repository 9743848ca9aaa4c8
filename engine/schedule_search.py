"""Exact search for the operator order with the lowest peak of live bytes, over sets of executed operators.

Pure functions over numbered tasks; nothing here knows what a graph is. What is live after a set of tasks does
not depend on their order, so a set that once failed under a limit fails for good. Sets are bit masks; the
search is depth-first and counted in sets, so that all machines find the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Value:
    """`size` bytes that live from `producer` (None: from the beginning) to the last of `readers`, a bit mask.

    `kept`: to the end. What nobody reads lives only while its producer runs.
    """

    size: int
    producer: int | None
    readers: int
    kept: bool = False


@dataclass(frozen=True)
class Task:
    """An operator: those that must run `before` (a bit mask), and its bytes of scratch.

    `overwrites`: (source, result) values; the result takes the place of the source where that dies here.
    """

    before: int
    scratch: int = 0
    overwrites: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Found:
    """An order of all tasks, its peak, a peak in bytes below which no order has one, and sets expanded."""

    order: tuple[int, ...]
    peak: int
    bound: int
    expanded: int


@dataclass(frozen=True)
class _Step:
    """Running `task`: the bytes live while it runs and after it."""

    task: int
    during: int
    after: int


@dataclass(frozen=True)
class Flow:
    """Tasks, numbered in some sound order, and the values between them."""

    tasks: tuple[Task, ...]
    values: tuple[Value, ...]

    @cached_property
    def initial(self) -> int:
        """Bytes live before the first task."""
        return sum(v.size for v in self.values if v.producer is None and (v.readers or v.kept))

    @cached_property
    def reads(self) -> list[list[int]]:
        """Values by the task that reads them."""
        found: list[list[int]] = [[] for _ in self.tasks]
        for index, value in enumerate(self.values):
            for task in _members(value.readers):
                found[task].append(index)
        return found

    @cached_property
    def writes(self) -> list[list[int]]:
        """Values by the task that writes them."""
        found: list[list[int]] = [[] for _ in self.tasks]
        for index, value in enumerate(self.values):
            if value.producer is not None:
                found[value.producer].append(index)
        return found

    @cached_property
    def ancestors(self) -> list[int]:
        """By task, all that must run before it, directly or not."""
        found: list[int] = []
        for task in self.tasks:
            mask = task.before
            for earlier in _members(task.before):
                mask |= found[earlier]
            found.append(mask)
        return found

    @cached_property
    def descendants(self) -> list[int]:
        """By task, all that must run after it."""
        found = [0] * len(self.tasks)
        for task, mask in enumerate(self.ancestors):
            for earlier in _members(mask):
                found[earlier] |= 1 << task
        return found

    def step(self, task: int, done: int, live: int) -> _Step:
        """Running `task` after the set `done`, with `live` bytes before it."""
        done |= 1 << task
        values = self.values
        dying = {v for v in self.reads[task] if not values[v].kept and not values[v].readers & ~done}
        written = sum(values[v].size for v in self.writes[task])
        staying = sum(values[v].size for v in self.writes[task] if values[v].readers or values[v].kept)
        during = live + written + self.tasks[task].scratch - self._shared(task, dying)
        return _Step(task, during, live + staying - sum(values[v].size for v in dying))

    def _shared(self, task: int, dying: set[int]) -> int:
        """Bytes that results save by taking the place of what dies; each value shares once."""
        taken: set[int] = set()
        saved = 0
        for source, result in self.tasks[task].overwrites:
            if source in dying and source not in taken and result not in taken:
                taken.update((source, result))
                saved += self.values[result].size
        return saved

    def least(self, task: int) -> int:
        """Bytes live while `task` runs in any order whatever: what must exist by then and is needed later."""
        before, after = self.ancestors[task], self.descendants[task] | 1 << task
        waiting = sum(
            v.size
            for v in self.values
            if (v.producer is None or before >> v.producer & 1) and (v.kept or v.readers & after)
        )
        later = self.descendants[task]
        may_die = {
            v for v in self.reads[task] if not self.values[v].kept and not self.values[v].readers & later
        }
        written = sum(self.values[v].size for v in self.writes[task])
        return waiting + written + self.tasks[task].scratch - self._shared(task, may_die)


def best_order(flow: Flow, budget: int) -> Found:
    """The order with the lowest peak that the search finds by expanding `budget` sets of executed tasks.

    Where some task is before or after each other one, what precedes it and what follows are searched apart,
    each to its own lowest peak. The numbering stays where no order of a stretch has a lower peak.
    """
    order: list[int] = []
    peak = bound = done = expanded = 0
    live = flow.initial
    for stretch in _stretches(flow):
        search = _Search(flow, stretch, done, live, budget - expanded)
        found = search.run()
        order += found.order
        peak, bound = max(peak, found.peak), max(bound, found.bound)
        expanded += found.expanded
        for task in stretch:
            live = flow.step(task, done, live).after
            done |= 1 << task
    return Found(tuple(order), peak, bound, expanded)


def _stretches(flow: Flow) -> Iterator[range]:
    """Tasks between those that all others are ordered with; these come alone."""
    count, begin = len(flow.tasks), 0
    for task in range(count):
        if flow.ancestors[task].bit_count() + flow.descendants[task].bit_count() == count - 1:
            if begin < task:
                yield range(begin, task)
            yield range(task, task + 1)
            begin = task + 1
    if begin < count:
        yield range(begin, count)


class _BudgetSpentError(Exception):
    """No more sets may be expanded."""


class _Search:
    """Of one stretch, which begins after the set `done` with `live` bytes."""

    def __init__(self, flow: Flow, stretch: range, done: int, live: int, budget: int) -> None:
        self._flow, self._stretch, self._done, self._live = flow, stretch, done, live
        self._left, self._budget = budget, budget

    def run(self) -> Found:
        order: Sequence[int] = self._stretch
        peak = self._peak(order)
        bound = max(self._flow.least(task) for task in self._stretch)
        limit = bound
        try:
            while bound < peak:
                better = self._order_within(limit)
                if better is None:
                    bound = limit + 1
                else:
                    order, peak = better, self._peak(better)
                limit = peak - 1
        except _BudgetSpentError:
            pass  # the caller sees it: the bound stays below the peak
        return Found(tuple(order), peak, bound, self._budget - self._left)

    def _peak(self, order: Sequence[int]) -> int:
        done, live, peak = self._done, self._live, 0
        for task in order:
            step = self._flow.step(task, done, live)
            done, live, peak = done | 1 << task, step.after, max(peak, step.during)
        return peak

    def _order_within(self, limit: int) -> list[int] | None:
        """An order of which no task has more than `limit` bytes live while it runs; None: there is none."""
        failed: set[int] = set()
        order: list[int] = []
        done = self._done
        choices = [self._choices(done, self._live, limit)]
        while len(order) < len(self._stretch):
            step = next(choices[-1], None)
            if step is None:
                failed.add(done)
                choices.pop()
                if not order:
                    return None
                done ^= 1 << order.pop()
            elif done | 1 << step.task not in failed:
                order.append(step.task)
                done |= 1 << step.task
                choices.append(self._choices(done, step.after, limit))
        return order

    def _choices(self, done: int, live: int, limit: int) -> Iterator[_Step]:
        """What may run next: what leaves the fewest bytes first, then by number.

        A task that fits and leaves no more bytes than before is the only choice: in any order from here it
        can be moved to the front. Until where it stood, what runs has no more bytes beside it and finds no
        fewer readers done, so that it can overwrite whatever it could; after that, the sets are the same.
        """
        if not self._left:
            raise _BudgetSpentError
        self._left -= 1
        tasks = self._flow.tasks
        steps = []
        for task in self._stretch:
            if done >> task & 1 or tasks[task].before & ~done:
                continue
            step = self._flow.step(task, done, live)
            if step.during <= limit:
                if step.after <= live:
                    return iter([step])
                steps.append(step)
        return iter(sorted(steps, key=lambda s: (s.after, s.task)))


def _members(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
