"""Operator order: a topological order of the graph with a low peak of live arena bytes.

Besides data flow, an operator that changes a state tensor must come after all others that read it. The
forward pass is a chain; the freedom is in the backward pass, where an update may run as soon as its gradient
exists (and free it), or later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import PlanError
from engine.graph import Graph, Operator
from engine.liveness import peak_live_bytes
from engine.operators import kind_of


@dataclass(frozen=True)
class Schedule:
    """The graph in its chosen order, and which heuristic gave it."""

    graph: Graph
    order: str
    peak_live_bytes: int


def schedule(graph: Graph) -> Schedule:
    """The better of two orders by their peak of live bytes: as emitted, and greedy."""
    candidates = {
        "as emitted": list(range(len(graph.operators))),
        "greedy by live bytes": _greedy(graph),
    }
    best: Schedule | None = None
    for name, order in candidates.items():
        check_order(graph, order)
        ordered = graph.reordered(order)
        peak = peak_live_bytes(ordered)
        if best is None or peak < best.peak_live_bytes:
            best = Schedule(ordered, name, peak)
    assert best is not None
    return best


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


def _greedy(graph: Graph) -> list[int]:
    """List scheduling: of the ready operators, the one that leaves the fewest bytes live; ties as emitted."""
    before = predecessors(graph)
    after: list[list[int]] = [[] for _ in before]
    for index, needed in enumerate(before):
        for earlier in needed:
            after[earlier].append(index)
    waiting = [len(needed) for needed in before]
    unread = {name: len(indices) for name, indices in graph.readers().items()}
    ready = [index for index, count in enumerate(waiting) if count == 0]
    order: list[int] = []
    while ready:
        chosen = min(ready, key=lambda index: (_growth(graph, graph.operators[index], unread), index))
        ready.remove(chosen)
        order.append(chosen)
        for name in {name for _, name in graph.operators[chosen].inputs}:
            unread[name] -= 1
        for index in sorted(after[chosen]):
            waiting[index] -= 1
            if waiting[index] == 0:
                ready.append(index)
    return order


def _growth(graph: Graph, op: Operator, unread: dict[str, int]) -> int:
    """Arena bytes that stay live after the operator, less those it frees."""
    written = sum(graph.tensor(name).bytes for _, name in op.outputs if graph.tensor(name).in_arena)
    freed = sum(
        graph.tensor(name).bytes
        for name in {name for _, name in op.inputs}
        if graph.tensor(name).in_arena and unread[name] == 1 and name not in graph.outputs
    )
    return written - freed
