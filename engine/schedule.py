"""Operator order: a topological order of the graph with the lowest peak of live arena bytes.

Besides data flow, an operator that changes a state tensor must come after all others that read it. The
forward pass is a chain; the freedom is in the backward pass, where an update may run as soon as its gradient
exists (and free it), or later. What is counted are whole tensors: regions (`engine/regions.py`) are chosen
afterwards and lower the peak further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.errors import PlanError
from engine.graph import Graph, Operator
from engine.liveness import peak_live_bytes
from engine.operators import kind_of
from engine.schedule_search import Flow, Task, Value, best_order

DEFAULT_BUDGET = 20000
"""Sets of executed operators that the search may expand; the training graphs at hand take up to 300."""


@dataclass(frozen=True)
class Schedule:
    """The graph in its chosen order, what gave it, and the most bytes live at once in it.

    `bound`: bytes; no order of these operators has a lower peak. Whole tensors are counted, none streamed.
    """

    graph: Graph
    order: str
    peak_live_bytes: int
    bound: int

    @property
    def proven(self) -> bool:
        """Whether no order has a lower peak."""
        return self.peak_live_bytes == self.bound


def schedule(
    graph: Graph, measure: Callable[[Graph], int] = peak_live_bytes, budget: int = DEFAULT_BUDGET
) -> Schedule:
    """The order with the lowest peak of live bytes; as emitted where that has no higher `measure`.

    The search lowers the peak of the backward pass also where that of the forward pass is higher. `measure`:
    bytes to decide by, such as the peak with regions. `budget`: sets of executed operators that the search
    may expand; once it is spent, the best order found is taken and `proven` may be false. Raises PlanError
    where the order as emitted is not sound.
    """
    emitted = list(range(len(graph.operators)))
    check_order(graph, emitted)
    found = best_order(flow_of(graph), budget)
    check_order(graph, found.order)
    searched = graph.reordered(found.order)
    peak = peak_live_bytes(searched)
    if peak != found.peak:
        raise PlanError(
            f"schedule of {graph.name}: the search counts {found.peak} bytes live at once, "
            f"the lifetimes {peak}; this is a fault of the compiler"
        )
    if list(found.order) == emitted or measure(graph) <= measure(searched):
        return Schedule(graph, "as emitted", peak_live_bytes(graph), found.bound)
    return Schedule(searched, "exact search", peak, found.bound)


def flow_of(graph: Graph) -> Flow:
    """The graph's operators and arena tensors by number, as the search wants them."""
    producers, readers = graph.producers(), graph.readers()
    names = [tensor.name for tensor in graph.tensors if tensor.in_arena]
    numbers = {name: number for number, name in enumerate(names)}
    values = tuple(
        Value(graph.tensor(name).bytes, producers.get(name), _mask(readers[name]), name in graph.outputs)
        for name in names
    )
    tasks = tuple(
        Task(_mask(before), kind_of(op).scratch_bytes(op, graph), _overwrites(graph, op, numbers))
        for op, before in zip(graph.operators, predecessors(graph), strict=True)
    )
    return Flow(tasks, values)


def _overwrites(graph: Graph, op: Operator, numbers: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    """What the operator may write in place of what: by the same rules as `engine.liveness`."""
    pairs = []
    for source_role, result_role in kind_of(op).in_place_pairs(op, graph):
        source, result = op.find_input(source_role), op.find_output(result_role)
        if source is None or result is None or source not in numbers or result not in numbers:
            continue
        reads = sum(name == source for _, name in op.inputs)
        if reads == 1 and graph.tensor(result).bytes <= graph.tensor(source).bytes:
            pairs.append((numbers[source], numbers[result]))
    return tuple(pairs)


def _mask(indices: Iterable[int]) -> int:
    return sum(1 << index for index in indices)


def predecessors(graph: Graph) -> list[set[int]]:
    """For each operator, those that must run before: producers of its inputs, readers of what it changes."""
    producers = graph.producers()
    readers = graph.readers()
    before: list[set[int]] = []
    for index, op in enumerate(graph.operators):
        needed = {producers[name] for _, name in op.inputs if name in producers}
        for name in _mutated(op):
            needed.update(reader for reader in readers[name] if reader != index)
        before.append(needed)
    return before


def check_order(graph: Graph, order: Sequence[int]) -> None:
    """Raise PlanError unless `order` is a permutation that respects all predecessors."""
    if sorted(order) != list(range(len(graph.operators))):
        raise PlanError(
            f"schedule of {graph.name} is not a permutation of its {len(graph.operators)} operators"
        )
    position = {index: place for place, index in enumerate(order)}
    for index, needed in enumerate(predecessors(graph)):
        for earlier in needed:
            if position[earlier] > position[index]:
                names = graph.operators[index].name, graph.operators[earlier].name
                raise PlanError(f"schedule of {graph.name} runs {names[0]} before {names[1]}")


def _mutated(op: Operator) -> list[str]:
    names = (op.find_input(role) for role in kind_of(op).mutates)
    return [name for name in names if name is not None]
