"""Row streaming: a chain of forward operators run together by strips of rows, so that what lies between them
never exists whole.

A region is a run of consecutive forward operators, each of which reads the one before. Its first operator
reads a tensor that exists whole, its last writes one. Between two operators a window keeps the rows that are
still needed. For every strip of output rows each operator computes the rows that the next one needs beyond
those it has, in order; then rows that nothing needs any more are dropped from the windows. A residual
addition may end a region if its other operand is the region's input.

Streaming changes no result, only when it is computed and where it is kept: the graph stays what it is
(source of the idea: the line buffers of vMCU, the paper's patch-based first stage).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.errors import PlanError
from engine.graph import Graph, Operator, Phase, Tensor, attributes
from engine.operators import kind_of
from engine.operators.weights import geometry, geometry_attributes

CONVOLUTIONS = ("conv2d", "depthwise_conv2d")
ALIGNMENT = 4
"""Bytes: of the distance between an output and the input whose dead rows it overwrites."""


@dataclass(frozen=True)
class Region:
    """Operators [first, last) of a graph, run together; `strip`: rows of the output computed at a time."""

    first: int
    last: int
    strip: int


@dataclass(frozen=True)
class Window:
    """Rows of a tensor kept between two operators of a region."""

    tensor: str
    rows: int
    row_bytes: int

    @property
    def bytes(self) -> int:
        return self.rows * self.row_bytes


@dataclass(frozen=True)
class Streamed:
    """A region worked out.

    `distance`: where the output starts relative to the input whose dead rows it overwrites (bytes, ≤ 0); None
    where it cannot. `rows`: the most that each operator computes at a time. `repeated_bytes`: input
    bytes that operators read again, and weights that they widen again, because they run by strips.
    """

    region: Region
    windows: tuple[Window, ...]
    rows: tuple[int, ...]
    distance: int | None
    scratch_bytes: int
    strips: int
    repeated_bytes: int


@dataclass(frozen=True)
class _Stage:
    """The rows of one operator: output row r reads input rows r·stride − padding and kernel − 1 more."""

    op: Operator
    kernel: int
    stride: int
    padding: int
    in_height: int
    in_row: int
    out_row: int
    weights: int

    def needs(self, first: int, last: int) -> tuple[int, int]:
        """Input rows that output rows [first, last) see: half-open, within the image."""
        top = first * self.stride - self.padding
        bottom = (last - 1) * self.stride - self.padding + self.kernel
        return min(max(0, top), self.in_height), min(max(0, bottom), self.in_height)


@dataclass(frozen=True)
class _Rows:
    """What one stage does for one strip: from input rows [in_first, in_last) to output rows [first, last)."""

    in_first: int
    in_last: int
    first: int
    last: int


def chain_input(op: Operator) -> str:
    """The operand through which a streamed operator hangs on the one before it."""
    return op.input("x" if op.kind in CONVOLUTIONS else "b")


def internal_tensors(graph: Graph, region: Region) -> tuple[str, ...]:
    """What is kept in windows: the outputs of all operators of the region but the last."""
    return tuple(op.output("y") for op in graph.operators[region.first : region.last - 1])


def chain_end(graph: Graph, first: int, readers: Mapping[str, list[int]]) -> int:
    """The largest `last` for which operators [first, last) can be streamed; first + 1 if there is none."""
    operators = graph.operators
    if not _is_streamable(graph, operators[first]):
        return first + 1
    last = first + 1
    while last < len(operators) and operators[last - 1].kind in CONVOLUTIONS:
        value, op = operators[last - 1].output("y"), operators[last]
        if readers[value] != [last] or value in graph.outputs:
            break
        if op.kind == "add" and op.phase is Phase.FORWARD and op.input("b") == value:
            skips_region = op.input("a") == chain_input(operators[first])
            return last + 1 if skips_region and _mask_rows_are_bytes(graph, op) else last
        if not _is_streamable(graph, op):
            break
        last += 1
    return last


def _is_streamable(graph: Graph, op: Operator) -> bool:
    return op.kind in CONVOLUTIONS and op.phase is Phase.FORWARD and _mask_rows_are_bytes(graph, op)


def _mask_rows_are_bytes(graph: Graph, op: Operator) -> bool:
    return op.find_output("mask") is None or row_bytes(graph.tensor(op.output("y"))) % 8 == 0


def row_bytes(tensor: Tensor) -> int:
    """Bytes of one row of an int8 HWC tensor."""
    return tensor.elements // tensor.shape[0]


def work_out(graph: Graph, region: Region) -> Streamed:
    """Windows, overlay, scratch and cost of a region that is a chain; PlanError if it is too short."""
    if region.strip < 1 or region.last - region.first < 2:
        raise PlanError(f"a region of {graph.name} needs two operators and a strip of rows, found {region}")
    stages = [_stage(graph, op) for op in graph.operators[region.first : region.last]]
    height = graph.tensor(stages[-1].op.output("y")).shape[0]
    plan = list(_strips(stages, height, region.strip))
    windows = tuple(
        Window(
            stage.op.output("y"),
            max(_rows_kept(stages[index + 1], rows[index], rows[index + 1]) for rows in plan),
            stage.out_row,
        )
        for index, stage in enumerate(stages[:-1])
    )
    calls = {
        (index, rows.in_last - rows.in_first, rows.last - rows.first)
        for strip in plan
        for index, rows in enumerate(strip)
        if rows.last > rows.first
    }
    scratch = max(_scratch(graph, stages[index], in_rows, rows) for index, in_rows, rows in calls)
    rows = tuple(
        max(strip[index].last - strip[index].first for strip in plan) for index in range(len(stages))
    )
    return Streamed(
        region, windows, rows, _distance(graph, stages, plan), scratch, len(plan), _repeated(stages, plan)
    )


def _stage(graph: Graph, op: Operator) -> _Stage:
    tensor = graph.tensor(chain_input(op))
    out_row = row_bytes(graph.tensor(op.output("y")))
    if op.kind == "add":
        return _Stage(op, 1, 1, 0, tensor.shape[0], row_bytes(tensor), out_row, 0)
    g = geometry(op)
    weights = g.kernel_height * g.kernel_width * g.out_channels
    if op.kind == "conv2d":
        weights *= g.in_channels
    return _Stage(op, g.kernel_height, g.stride, g.padding, g.in_height, row_bytes(tensor), out_row, weights)


def _strips(stages: Sequence[_Stage], height: int, strip: int) -> Iterator[tuple[_Rows, ...]]:
    """For each strip of the last stage's `height` rows, what each stage does, in order."""
    done = [0] * len(stages)
    for end in range(strip, height + strip, strip):
        ends = [0] * len(stages)
        ends[-1] = min(end, height)
        for index in range(len(stages) - 1, 0, -1):
            ends[index - 1] = max(done[index - 1], stages[index].needs(0, ends[index])[1])
        rows = []
        for index, stage in enumerate(stages):
            in_first, in_last = stage.needs(done[index], ends[index])
            rows.append(_Rows(in_first, max(in_first, in_last), done[index], ends[index]))
        done = ends
        yield tuple(rows)


def _rows_kept(reader: _Stage, made: _Rows, read: _Rows) -> int:
    """Rows in the window between two stages when the first has just made its rows of a strip."""
    return max(0, made.last - reader.needs(read.first, read.first + 1)[0])


def _scratch(graph: Graph, stage: _Stage, in_rows: int, out_rows: int) -> int:
    """Scratch of a stage when it is called for this many rows."""
    op = stage.op
    if op.kind != "add":
        g = replace(geometry(op), in_height=max(1, in_rows), out_height=out_rows)
        op = replace(op, attributes=attributes(**{**dict(op.attributes), **geometry_attributes(g)}))
    return kind_of(op).scratch_bytes(op, graph)


def _distance(graph: Graph, stages: Sequence[_Stage], plan: Sequence[tuple[_Rows, ...]]) -> int | None:
    """How far before the input the output starts, so that no strip overwrites an input row still needed."""
    adds = stages[-1].op.kind == "add"
    room = 0
    for rows in plan[:-1]:
        # The next strip's first stage goes on where this one's stopped.
        oldest = stages[0].needs(rows[0].last, rows[0].last + 1)[0]
        if adds:
            oldest = min(oldest, rows[-1].last)
        room = min(room, oldest * stages[0].in_row - rows[-1].last * stages[-1].out_row)
    distance = room // ALIGNMENT * ALIGNMENT
    # The addition reads its other operand where it writes: in one place or not at all.
    return None if adds and distance != 0 else distance


def _repeated(stages: Sequence[_Stage], plan: Sequence[tuple[_Rows, ...]]) -> int:
    total = 0
    for index, stage in enumerate(stages):
        calls = [rows[index] for rows in plan if rows[index].last > rows[index].first]
        read = sum(rows.in_last - rows.in_first for rows in calls)
        total += (read - stage.in_height) * stage.in_row + (len(calls) - 1) * stage.weights
    return total
