"""Arena planner: gives each buffer a byte offset, so that parts live at the same time never overlap.

Pure functions over shapes (bytes × operators); nothing here knows what a graph is. The problem is dynamic
storage allocation, which is NP-hard: the planner takes the best of several greedy orders, improves them by
seeded local searches (`engine/plan_search.py`), and asks CP-SAT for what is left (`engine/plan_solver.py`).
Every plan says whether it is the best one and what proves it. `engine/plan_check.py` checks the outcome
without sharing code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from engine.errors import PlanError
from engine.plan_search import Placement, Problem, best_improvement, greedy_placements
from engine.plan_shapes import DEFAULT_ALIGNMENT, Buffer, Part, lower_bound

__all__ = ["Buffer", "Part", "Plan", "lower_bound", "plan_buffers"]

DEFAULT_EVALUATIONS = 60
"""Placements that the local searches may try in all. Counted, not timed: all machines make the same plan."""

DEFAULT_SOLVER_BUDGET = 0.6
"""The solver's deterministic time over all its runs: where it does not find a plan, it takes from ten
seconds to a minute."""


@dataclass(frozen=True)
class Plan:
    """Where each buffer lies. All figures in bytes, sizes rounded up to `alignment`.

    `placements`: (name, offset) sorted by name; a part lies at offset + start. `peak`: arena bytes.
    `counted_bound`: `lower_bound(buffers)`, which anyone can count again. `lower_bound`: the highest peak
    below which no plan with this operator order is proved to exist; `counted_bound`, or more where the
    solver proved more. `order`: what found the plan: a greedy order, a local search from it, or the solver.
    """

    placements: tuple[tuple[str, int], ...]
    peak: int
    lower_bound: int
    counted_bound: int
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

    @property
    def certificate(self) -> str:
        """What is known of how good the plan is, as words."""
        if self.gap:
            return f"gap of {self.gap} bytes, not proved"
        if self.lower_bound > self.counted_bound:
            return "optimal: proved by CP-SAT"
        return "optimal: equals the lower bound"


def plan_buffers(
    buffers: Sequence[Buffer],
    alignment: int = DEFAULT_ALIGNMENT,
    evaluations: int = DEFAULT_EVALUATIONS,
    solver_budget: float = DEFAULT_SOLVER_BUDGET,
) -> Plan:
    """Place `buffers` in one arena; the same set in any order gives the same plan.

    `alignment` (bytes, a power of two) holds for every offset and the peak. `evaluations` bounds the local
    searches, which run only while the greedy orders leave a gap; `solver_budget` (deterministic time) the
    solver, which runs only while the searches leave one. Raises PlanError where two buffers share a name, a
    part's start is no multiple of `alignment`, or an argument is out of range.
    """
    _refuse_bad_arguments(buffers, alignment, evaluations, solver_budget)
    problem = Problem.of(buffers, alignment)
    best, proven = _place(problem, evaluations, solver_budget)
    placements = tuple((b.name, offset) for b, offset in zip(problem.buffers, best.offsets, strict=True))
    return Plan(placements, best.peak, proven, problem.lower_bound, best.order_name, alignment)


def _place(problem: Problem, evaluations: int, solver_budget: float) -> tuple[Placement, int]:
    """A placement and the bound proved for it, by the cheapest means that close the gap."""
    greedy = greedy_placements(problem)
    if greedy[0].peak == problem.lower_bound:
        return greedy[0], problem.lower_bound
    best = best_improvement(problem, greedy, evaluations)
    if best.peak == problem.lower_bound or not solver_budget:
        return best, problem.lower_bound
    from engine.plan_solver import solve  # here, for it loads OR-Tools, which few plans need

    return solve(problem, best, solver_budget)


def _refuse_bad_arguments(
    buffers: Sequence[Buffer], alignment: int, evaluations: int, solver_budget: float
) -> None:
    if alignment < 1 or alignment & (alignment - 1):
        raise PlanError(f"the arena's alignment is {alignment} bytes; it has to be a power of two")
    if evaluations < 0:
        raise PlanError(f"the planner's budget is {evaluations} evaluations; it has to be 0 or more")
    if not 0 <= solver_budget < math.inf:
        raise PlanError(f"the solver's budget is {solver_budget}; it has to be 0 or more, and finite")
    seen: set[str] = set()
    for buffer in buffers:
        if buffer.name in seen:
            raise PlanError(f"two buffers are named {buffer.name}; each needs a name of its own")
        seen.add(buffer.name)
        for part in buffer.parts:
            if part.start % alignment:
                raise PlanError(
                    f"a part of buffer {buffer.name} starts at {part.start}, "
                    f"which is no multiple of the alignment, {alignment} bytes"
                )
