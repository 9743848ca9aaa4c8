"""The search against all orders of small random flows."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.schedule_search import Flow, Task, Value, best_order

ENOUGH = 10_000


@st.composite
def flows(draw: st.DrawFn, most: int = 6) -> Flow:
    """Tasks that depend on earlier ones; values of random readers, some kept, some written over others."""
    count = draw(st.integers(1, most))
    before = [0] * count
    values: list[Value] = []
    for _ in range(draw(st.integers(0, 2 * count))):
        producer = draw(st.integers(-1, count - 1))
        readers = 0
        for reader in range(producer + 1, count):
            if draw(st.booleans()):
                readers |= 1 << reader
                before[reader] |= 1 << producer if producer >= 0 else 0
        kept = draw(st.integers(0, 5)) == 0
        values.append(Value(draw(st.integers(1, 9)), None if producer < 0 else producer, readers, kept))
    for task in range(1, count):
        if draw(st.integers(0, 5)) == 0:
            before[task] |= 1 << draw(st.integers(0, task - 1))
    tasks = []
    for task in range(count):
        written = [i for i, v in enumerate(values) if v.producer == task]
        read = [i for i, v in enumerate(values) if v.readers >> task & 1]
        pairs = [(a, b) for a in read for b in written if values[b].size <= values[a].size]
        chosen = tuple(pair for pair in pairs if draw(st.booleans()))
        tasks.append(Task(before[task], draw(st.integers(0, 3)), chosen))
    return Flow(tuple(tasks), tuple(values))


def naive_peak(flow: Flow, order: tuple[int, ...]) -> int | None:
    """By the definition of what is live, task by task; None where the order is not sound."""
    position = {task: place for place, task in enumerate(order)}
    for task, place in position.items():
        if any(flow.tasks[task].before >> other & 1 and position[other] > place for other in position):
            return None
    peak = 0
    for place, task in enumerate(order):
        total = flow.tasks[task].scratch
        dying = set()
        for index, value in enumerate(flow.values):
            reads = [position[other] for other in position if value.readers >> other & 1]
            begin = 0 if value.producer is None else position[value.producer]
            end = len(order) - 1 if value.kept else max([begin, *reads])
            if value.producer is None and not reads and not value.kept:
                continue
            if begin <= place <= end:
                total += value.size
            if end == place and not value.kept and place in reads:
                dying.add(index)
        gone, come = set(), set()
        for source, result in flow.tasks[task].overwrites:
            if source in dying and source not in gone and result not in come:
                gone.add(source)
                come.add(result)
                total -= flow.values[result].size
        peak = max(peak, total)
    return peak


@settings(max_examples=300, deadline=None)
@given(flows())
def test_the_search_finds_and_proves_the_lowest_peak(flow: Flow) -> None:
    peaks = [naive_peak(flow, order) for order in permutations(range(len(flow.tasks)))]
    best = min(peak for peak in peaks if peak is not None)
    found = best_order(flow, ENOUGH)
    assert found.peak == naive_peak(flow, found.order) == best
    assert found.bound == best


@settings(max_examples=100, deadline=None)
@given(flows(), st.integers(0, 12))
def test_a_short_budget_gives_a_sound_order_and_a_true_bound(flow: Flow, budget: int) -> None:
    best = best_order(flow, ENOUGH).peak
    found = best_order(flow, budget)
    assert found.expanded <= budget
    assert found.bound <= best <= found.peak == naive_peak(flow, found.order)


@settings(deadline=None)
@given(flows())
def test_the_numbering_stays_where_nothing_is_better(flow: Flow) -> None:
    found = best_order(flow, ENOUGH)
    again = Flow(*_renumbered(flow, found.order))
    assert best_order(again, ENOUGH).order == tuple(range(len(flow.tasks)))


def _renumbered(flow: Flow, order: tuple[int, ...]) -> tuple[tuple[Task, ...], tuple[Value, ...]]:
    place = {task: number for number, task in enumerate(order)}

    def moved(mask: int) -> int:
        return sum(1 << place[task] for task in place if mask >> task & 1)

    tasks = tuple(
        Task(moved(flow.tasks[task].before), flow.tasks[task].scratch, flow.tasks[task].overwrites)
        for task in order
    )
    values = tuple(
        Value(v.size, None if v.producer is None else place[v.producer], moved(v.readers), v.kept)
        for v in flow.values
    )
    return tasks, values


def wide(branches: int) -> Flow:
    """One source, many branches of two tasks each, all results kept: a large value, then a small one."""
    tasks, values = [Task(0)], [Value(1, 0, sum(2 << 2 * i for i in range(branches)))]
    for i in range(branches):
        first = 1 + 2 * i
        tasks += [Task(1), Task(1 << first)]
        values += [Value(10 + i, first, 2 << first), Value(1, first + 1, 0, kept=True)]
    return Flow(tuple(tasks), tuple(values))


def test_the_order_of_a_bad_numbering_is_improved() -> None:
    """All large values first would be 60 bytes and more; one branch at a time needs the largest only."""
    flow = wide(5)
    breadth_first = (0, *range(1, 11, 2), *range(2, 11, 2))
    bad = Flow(*_renumbered(flow, breadth_first))
    assert naive_peak(bad, tuple(range(11))) == 10 + 11 + 12 + 13 + 14 + 1
    found = best_order(bad, ENOUGH)
    assert found.peak == found.bound == naive_peak(bad, found.order) <= 20


def test_what_all_others_are_ordered_with_cuts_the_search() -> None:
    """Each stretch has its own lowest peak, also where another one is higher."""
    first, second = wide(2), wide(2)
    bad = (0, 1, 3, 2, 4)
    low = Flow(*_renumbered(second, bad))
    shift = len(first.tasks)
    everything = (1 << shift) - 1
    tasks = first.tasks + tuple(Task(t.before << shift | everything, t.scratch) for t in low.tasks)
    values = tuple(Value(100 * v.size, v.producer, v.readers, v.kept) for v in first.values) + tuple(
        Value(v.size, None if v.producer is None else v.producer + shift, v.readers << shift, v.kept)
        for v in low.values
    )
    found = best_order(Flow(tasks, values), ENOUGH)
    assert found.order[:shift] == tuple(range(shift))
    assert tuple(task - shift for task in found.order[shift:]) != tuple(range(shift))
    assert found.peak == found.bound


@pytest.mark.parametrize("budget", [0, 1])
def test_no_budget_keeps_the_numbering(budget: int) -> None:
    bad = Flow(*_renumbered(wide(5), (0, *range(1, 11, 2), *range(2, 11, 2))))
    found = best_order(bad, budget)
    assert found.order == tuple(range(11))
    assert found.bound < found.peak
    assert found.expanded == budget


def test_nothing_to_run_needs_nothing() -> None:
    found = best_order(Flow((), ()), ENOUGH)
    assert (found.order, found.peak, found.bound, found.expanded) == ((), 0, 0, 0)
