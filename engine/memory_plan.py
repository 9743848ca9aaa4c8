"""The memory plan of a graph in execution order: offsets for every arena tensor, and the plan as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.errors import PlanError
from engine.graph import Graph, Module
from engine.liveness import AnyRegion, Lifetime, lifetimes, live_bytes
from engine.operators import kind_of
from engine.plan import Buffer, Plan, plan_buffers
from engine.plan_check import require_valid_plan
from engine.plan_table import format_plan
from engine.streaming import Region

LARGEST_ARENA = 2**31 - 1
"""Bytes: the kernels index in 32 bits."""


@dataclass(frozen=True)
class PlannedBuffer:
    """Arena bytes [offset, offset + size) in operators [first, last).

    What shares memory in place has one entry for each extent it has over time, all of one name.
    """

    name: str
    offset: int
    size: int
    first: int
    last: int
    what: str


@dataclass(frozen=True)
class PlannedOperator:
    """One operator in execution order."""

    name: str
    kind: str
    phase: str
    layer: str
    macs: int
    live_bytes: int


@dataclass(frozen=True)
class PlannedRegion:
    """Operators [first, last) run together, `strip` output rows at a time, or `strip` channels."""

    kind: Literal["rows", "channels"]
    first: int
    last: int
    strip: int


@dataclass(frozen=True)
class MemoryPlan:
    """The arena plan as data; sizes in bytes."""

    arena_bytes: int
    lower_bound: int
    gap_bytes: int
    order: str
    certificate: str
    buffers: tuple[PlannedBuffer, ...]
    operators: tuple[PlannedOperator, ...]
    regions: tuple[PlannedRegion, ...]


def plan_module(
    module: Module, order: str, regions: Sequence[AnyRegion] = ()
) -> tuple[MemoryPlan, dict[str, int], str]:
    """The plan as data, the offset of every arena tensor, and the plan as a table.

    `order` names how the operators were ordered. Raises PlanError where the arena is larger than the kernels
    can address.
    """
    groups = lifetimes(module.graph, regions)
    buffers = [Buffer(group.name, group.parts) for group in groups]
    plan = plan_buffers(buffers)
    require_valid_plan(buffers, plan)
    if plan.peak > LARGEST_ARENA:
        raise PlanError(
            f"the arena of {module.graph.name} would need {plan.peak} bytes; "
            f"the kernels count up to {LARGEST_ARENA}"
        )
    offsets = {name: plan.offsets[group.name] + start for group in groups for name, start in group.tensors}
    return _plan_data(module.graph, groups, plan, order, regions), offsets, format_plan(buffers, plan)


def _plan_data(
    graph: Graph, groups: Sequence[Lifetime], plan: Plan, order: str, regions: Sequence[AnyRegion]
) -> MemoryPlan:
    live = live_bytes(graph, regions)
    return MemoryPlan(
        arena_bytes=plan.peak,
        lower_bound=plan.lower_bound,
        gap_bytes=plan.gap,
        order=f"operators {order}; buffers {plan.order}",
        certificate=plan.certificate,
        buffers=tuple(sorted(_planned(groups, plan), key=lambda b: (b.offset, b.first, b.name))),
        operators=tuple(
            PlannedOperator(
                op.name, op.kind, str(op.phase), op.layer, kind_of(op).macs(op, graph), live[index]
            )
            for index, op in enumerate(graph.operators)
        ),
        regions=tuple(map(_planned_region, regions)),
    )


def _planned_region(region: AnyRegion) -> PlannedRegion:
    if isinstance(region, Region):
        return PlannedRegion("rows", region.first, region.last, region.strip)
    return PlannedRegion("channels", region.first, region.last, region.channels)


def _planned(groups: Sequence[Lifetime], plan: Plan) -> Iterator[PlannedBuffer]:
    for group in groups:
        for part in group.parts:
            offset = plan.offsets[group.name] + part.start
            yield PlannedBuffer(group.name, offset, part.size, part.first, part.last, group.what)
