"""Which operators of the forward pass are streamed by rows, which of the backward pass run by groups of
channels, and how many rows or channels at a time.

The step is cut into pieces: single operators, chains run by rows, chains run by groups. The most bytes live
during a piece depend on that piece alone, so the cut with the lowest peak is found by dynamic programming
over cut points: exactly, over all chains of up to `LONGEST` operators and the strips of `STRIPS` rows, and
over the groups of `GROUPS` channels. Among the cuts that come within a twentieth of it the one that repeats
the least is taken: the last bytes cost the most instructions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine import channel_groups
from engine.channel_groups import ChannelRegion, Grouped, channels_of, split_tensors
from engine.graph import Graph, Phase
from engine.liveness import AnyRegion, live_bytes, whole_spans
from engine.streaming import Region, Streamed, chain_end, chain_input, internal_tensors, work_out

STRIPS = (16, 8, 4, 2, 1)
GROUPS = (256, 192, 128, 96, 64, 48, 32, 24, 16, 8)
SLACK = 20
"""A peak is as good as the lowest if it is higher by no more than this part of it."""
LONGEST = 7
"""Operators: the stem and two inverted bottlenecks."""
_CALL_BYTES = 200
"""What one more call of a kernel costs, as if so many bytes were read again."""


@dataclass(frozen=True)
class _Piece:
    first: int
    last: int
    live: int
    cost: int
    region: AnyRegion | None


def choose_regions(graph: Graph) -> tuple[AnyRegion, ...]:
    """The regions of a graph in execution order, ascending."""
    forward, count = sum(op.phase is Phase.FORWARD for op in graph.operators), len(graph.operators)
    pieces = [*_pieces(graph, forward), *_backward_pieces(graph, forward)]
    lowest = _lowest_peak(pieces, count)
    peak = lowest + lowest // SLACK
    return tuple(piece.region for piece in _cheapest(pieces, count, peak) if piece.region is not None)


def _lowest_peak(pieces: list[_Piece], count: int) -> int:
    best: list[int | None] = [0, *[None] * count]
    for piece in pieces:
        before, after = best[piece.first], best[piece.last]
        if before is not None:
            peak = max(before, piece.live)
            best[piece.last] = peak if after is None else min(after, peak)
    reached = best[count]
    assert reached is not None  # single operators make a cut
    return reached


def _cheapest(pieces: list[_Piece], count: int, peak: int) -> list[_Piece]:
    """The cut of least cost whose pieces all stay within `peak`; of equal ones the first found."""
    best: list[tuple[int, tuple[_Piece, ...]] | None] = [(0, ()), *[None] * count]
    for piece in pieces:
        before, after = best[piece.first], best[piece.last]
        if before is None or piece.live > peak:
            continue
        cost = before[0] + piece.cost
        if after is None or cost < after[0]:
            best[piece.last] = (cost, (*before[1], piece))
    reached = best[count]
    assert reached is not None
    return list(reached[1])


def _backward_pieces(graph: Graph, count: int) -> Iterator[_Piece]:
    """All pieces of what follows the forward pass, those that start earlier first."""
    readers, alone, live = graph.readers(), live_bytes(graph), _Live(graph)
    for first in range(count, len(graph.operators)):
        yield _Piece(first, first + 1, alone[first], 0, None)
        last = channel_groups.chain_end(graph, first, readers)
        if last == first + 1:
            continue
        for channels in GROUPS:
            if channels < channels_of(graph.operators[first]):
                grouped = channel_groups.work_out(graph, ChannelRegion(first, last, channels))
                cost = grouped.repeated + grouped.groups * (last - first) * _CALL_BYTES
                yield _Piece(first, last, live.grouped(grouped), cost, grouped.region)


def _pieces(graph: Graph, count: int) -> Iterator[_Piece]:
    """All pieces of the forward pass, those that start earlier first."""
    readers, alone, live = graph.readers(), live_bytes(graph), _Live(graph)
    for first in range(count):
        yield _Piece(first, first + 1, alone[first], 0, None)
        end = chain_end(graph, first, readers)
        for last in range(first + 2, min(end, first + LONGEST) + 1):
            final = graph.operators[last - 1]
            if final.kind == "add" and last != end:
                continue
            for strip in STRIPS:
                if strip >= graph.tensor(final.output("y")).shape[0]:
                    continue
                streamed = work_out(graph, Region(first, last, strip))
                cost = streamed.repeated_bytes + streamed.strips * (last - first) * _CALL_BYTES
                yield _Piece(first, last, live.streamed(streamed), cost, streamed.region)


class _Live:
    """Most bytes live while a region runs."""

    def __init__(self, graph: Graph) -> None:
        self._graph, self._spans = graph, whole_spans(graph)

    def streamed(self, streamed: Streamed) -> int:
        graph, region = self._graph, streamed.region
        around = self._around(region.first, region.last, internal_tensors(graph, region))
        total = around + streamed.scratch_bytes + sum(window.bytes for window in streamed.windows)
        source = chain_input(graph.operators[region.first])
        result = graph.operators[region.last - 1].output("y")
        if streamed.distance is not None and self._dies(source, region.last):
            x, y = self._bytes(source), self._bytes(result)
            total += max(x - streamed.distance, y) - x - y
        return total

    def grouped(self, grouped: Grouped) -> int:
        region = grouped.region
        around = self._around(region.first, region.last, split_tensors(self._graph, region))
        if grouped.sums is not None:
            name, summed = grouped.sums
            around += summed - self._bytes(name)
        return around + grouped.scratch_bytes + sum(buffer.bytes for buffer in grouped.buffers)

    def _around(self, first: int, last: int, without: tuple[str, ...]) -> int:
        return sum(
            self._bytes(name)
            for name, (start, end) in self._spans.items()
            if start < last and first < end and name not in without
        )

    def _dies(self, name: str, last: int) -> bool:
        return self._spans[name][1] <= last and name not in self._graph.outputs

    def _bytes(self, name: str) -> int:
        return self._graph.tensor(name).bytes
