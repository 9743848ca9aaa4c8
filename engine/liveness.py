"""From an ordered graph and its regions to arena buffers: lifetimes, in-place groups, what regions keep.

The operators of a region run together: whatever one of them touches lives in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine import channel_groups
from engine.channel_groups import ChannelRegion, Grouped, split_tensors
from engine.graph import DType, Graph, Operator, Role, Tensor
from engine.operators import kind_of
from engine.plan_shapes import Part
from engine.streaming import Region, Streamed, chain_input, internal_tensors, work_out

Spans = dict[str, tuple[int, int]]
Sums = dict[str, tuple[int, int]]
"""Tensor → (until which operator it is being summed, its bytes until then)."""
AnyRegion = Region | ChannelRegion


@dataclass(frozen=True)
class Lifetime:
    """An arena buffer and the tensors that share it: (name, start within the buffer in bytes)."""

    name: str
    tensors: tuple[tuple[str, int], ...]
    parts: tuple[Part, ...]
    what: str
    """input, activation, mask, gradient or scratch."""

    @property
    def first(self) -> int:
        return self.parts[0].first

    @property
    def last(self) -> int:
        return self.parts[-1].last

    @property
    def size(self) -> int:
        """Bytes of its largest part."""
        return max(part.size for part in self.parts)


def lifetimes(graph: Graph, regions: Sequence[AnyRegion] = ()) -> tuple[Lifetime, ...]:
    """All arena buffers of a graph in execution order. Graph outputs live to the end, inputs from 0."""
    streamed = [work_out(graph, region) for region in regions if isinstance(region, Region)]
    grouped = [
        channel_groups.work_out(graph, region) for region in regions if isinstance(region, ChannelRegion)
    ]
    spans = _spans(graph, regions)
    sums = {found.sums[0]: (found.region.last, found.sums[1]) for found in grouped if found.sums}
    groups = _in_place_groups(graph, spans, streamed, grouped)
    buffers = [_shared(graph, group, spans, sums) for group in groups]
    for by_rows in streamed:
        buffers.extend(_windows(graph, by_rows))
    for by_channels in grouped:
        buffers.extend(_group_buffers(graph, by_channels))
    covered = {index for region in regions for index in range(region.first, region.last)}
    for index, op in enumerate(graph.operators):
        size = kind_of(op).scratch_bytes(op, graph)
        if size and index not in covered:
            name = scratch_name(op)
            buffers.append(Lifetime(name, ((name, 0),), (Part(0, size, index, index + 1),), "scratch"))
    return tuple(buffers)


def scratch_name(op: Operator) -> str:
    return f"{op.name}.scratch"


def window_name(tensor: str) -> str:
    """Of the rows that a region keeps of a tensor."""
    return f"{tensor}.rows"


def group_name(tensor: str) -> str:
    """Of the group of channels that a region keeps of a gradient."""
    return f"{tensor}.channels"


def live_bytes(graph: Graph, regions: Sequence[AnyRegion] = ()) -> list[int]:
    """Arena bytes live during each operator."""
    totals = [0] * len(graph.operators)
    for buffer in lifetimes(graph, regions):
        for part in buffer.parts:
            for index in range(part.first, part.last):
                totals[index] += part.size
    return totals


def peak_live_bytes(graph: Graph, regions: Sequence[AnyRegion] = ()) -> int:
    """The most bytes live at once: no plan of this order and these regions can be smaller."""
    return max(live_bytes(graph, regions), default=0)


def whole_spans(graph: Graph) -> Spans:
    """Tensor → [first, last) in operator indices, for what lives in the arena where nothing is streamed."""
    return _spans(graph, ())


def _spans(graph: Graph, regions: Sequence[AnyRegion]) -> Spans:
    producers, readers = graph.producers(), graph.readers()
    end = len(graph.operators)
    inside = {name for region in regions for name in _inside(graph, region)}
    begins, ends = list(range(end)), list(range(1, end + 1))
    for region in regions:
        for index in range(region.first, region.last):
            begins[index], ends[index] = region.first, region.last
    spans = {}
    for tensor in graph.tensors:
        if not tensor.in_arena or tensor.name in inside:
            continue
        first = 0 if tensor.role is Role.INPUT else begins[producers[tensor.name]]
        read = [ends[index] for index in readers[tensor.name]]
        last = end if tensor.name in graph.outputs else max([first + 1, *read])
        spans[tensor.name] = (first, last)
    return spans


def _inside(graph: Graph, region: AnyRegion) -> tuple[str, ...]:
    """What never exists whole."""
    return internal_tensors(graph, region) if isinstance(region, Region) else split_tensors(graph, region)


@dataclass
class _Group:
    """Tensors that share memory, in the order they are written; `starts` relative to the first."""

    names: list[str]
    starts: dict[str, int]


def _in_place_groups(
    graph: Graph, spans: Spans, streamed: Sequence[Streamed], grouped: Sequence[Grouped]
) -> list[_Group]:
    """Chains of tensors where an operator, or a region, writes its output over an input that dies there."""
    group_of = {name: _Group([name], {name: 0}) for name in spans}
    regions: dict[int, Streamed | Grouped] = {}
    regions.update((found.region.first, found) for found in streamed)
    regions.update((found.region.first, found) for found in grouped)
    index = 0
    while index < len(graph.operators):
        region = regions.get(index)
        if region is None:
            _merge_operator(graph, index, spans, group_of)
            index += 1
            continue
        if isinstance(region, Streamed):
            _merge_region(graph, region, spans, group_of)
        index = region.region.last
    return [group for name, group in group_of.items() if group.names[0] == name]


def _merge_operator(graph: Graph, index: int, spans: Spans, group_of: dict[str, _Group]) -> None:
    op = graph.operators[index]
    taken: set[str] = set()
    for input_role, output_role in kind_of(op).in_place_pairs(op, graph):
        source, result = op.find_input(input_role), op.find_output(output_role)
        if source is None or result is None or source in taken or result in taken:
            continue
        if not _dies(graph, spans, source, index + 1) or _reads_twice(op, source):
            continue
        if graph.tensor(result).bytes > graph.tensor(source).bytes:
            continue
        _merge(group_of, source, result, 0)
        taken.update((source, result))


def _merge_region(graph: Graph, streamed: Streamed, spans: Spans, group_of: dict[str, _Group]) -> None:
    region = streamed.region
    source = chain_input(graph.operators[region.first])
    result = graph.operators[region.last - 1].output("y")
    if streamed.distance is not None and _dies(graph, spans, source, region.last):
        _merge(group_of, source, result, streamed.distance)


def _merge(group_of: dict[str, _Group], source: str, result: str, distance: int) -> None:
    """Put `result` (alone so far) into the group of `source`, `distance` bytes from its start."""
    group = group_of[source]
    group.names.append(result)
    group.starts[result] = group.starts[source] + distance
    group_of[result] = group


def _dies(graph: Graph, spans: Spans, name: str, last: int) -> bool:
    return name in spans and spans[name][1] == last and name not in graph.outputs


def _reads_twice(op: Operator, name: str) -> bool:
    return sum(tensor == name for _, tensor in op.inputs) > 1


def _shared(graph: Graph, group: _Group, spans: Spans, sums: Sums) -> Lifetime:
    """One buffer for a group: at any time as large as what lives of it then."""

    def size_at(name: str, time: int) -> int:
        until, summed = sums.get(name, (0, 0))
        return summed if time < until else graph.tensor(name).bytes

    lowest = min(group.starts.values())
    starts = {name: start - lowest for name, start in group.starts.items()}
    changes = {sums[name][0] for name in group.names if name in sums}
    times = sorted(changes.union(*(spans[name] for name in group.names)))
    parts: list[Part] = []
    for first, last in pairwise(times):
        live = [name for name in group.names if spans[name][0] <= first and last <= spans[name][1]]
        start = min(starts[name] for name in live)
        size = max(starts[name] + size_at(name, first) for name in live) - start
        if parts and (parts[-1].start, parts[-1].size) == (start, size):
            parts[-1] = Part(start, size, parts[-1].first, last)
        else:
            parts.append(Part(start, size, first, last))
    floor = min(part.start for part in parts)
    parts = [Part(part.start - floor, part.size, part.first, part.last) for part in parts]
    members = tuple((name, starts[name] - floor) for name in group.names)
    return Lifetime(group.names[0], members, tuple(parts), _what(graph.tensor(group.names[0])))


def _windows(graph: Graph, streamed: Streamed) -> list[Lifetime]:
    windows = [
        _kept(streamed.region, [window_name(window.tensor)], window.bytes, "activation")
        for window in streamed.windows
    ]
    return [*windows, *_region_scratch(graph, streamed.region, streamed.scratch_bytes)]


def _group_buffers(graph: Graph, grouped: Grouped) -> list[Lifetime]:
    buffers = [
        _kept(grouped.region, [group_name(name) for name in buffer.tensors], buffer.bytes, "gradient")
        for buffer in grouped.buffers
    ]
    return [*buffers, *_region_scratch(graph, grouped.region, grouped.scratch_bytes)]


def _region_scratch(graph: Graph, region: AnyRegion, size: int) -> list[Lifetime]:
    """One operator runs at a time: they share it."""
    names = [scratch_name(op) for op in graph.operators[region.first : region.last]]
    return [_kept(region, names, size, "scratch")] if size else []


def _kept(region: AnyRegion, names: Sequence[str], size: int, what: str) -> Lifetime:
    part = Part(0, size, region.first, region.last)
    return Lifetime(names[0], tuple((member, 0) for member in names), (part,), what)


def _what(tensor: Tensor) -> str:
    if tensor.role is Role.INPUT:
        return "input"
    if tensor.dtype is DType.BIT:
        return "mask"
    is_gradient = tensor.dtype in (DType.FLOAT32, DType.INT16) and "gradient" in tensor.name
    return "gradient" if is_gradient else "activation"
