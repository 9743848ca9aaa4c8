"""Exact placement by OR-Tools CP-SAT: finds a plan at the lower bound, or proves that there is none.

The solver is asked for feasibility at one peak after the other, never to minimise. Runs are cut by the
solver's own deterministic clock, not by time, so that all machines get the same answer of one version of
OR-Tools. Imported only where a gap is left: OR-Tools takes half a second to load.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from ortools.sat.python import cp_model

from engine.errors import PlanError
from engine.plan_search import Placement, Problem
from engine.plan_shapes import rounded

ORDER_NAME = "CP-SAT"

_FIRST_RUN = 0.01
"""Deterministic time of the first runs at a peak; about half a second."""

_RUNS_OF_A_LENGTH = 6
"""Runs with other seeds before runs get longer: a plan of 230 buffers that kept one seed for more than five
seconds took the next one a third of a second."""

_GROWTH = 5.0
"""How much longer runs get."""

_WALL_GUARD = 600.0
"""Seconds for one run. No run comes near; one that does is an error, for its outcome would depend on time."""


class _Verdict(Enum):
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class _Answer:
    """Of one peak: the verdict, offsets in bytes where feasible, and deterministic time spent."""

    verdict: _Verdict
    offsets: tuple[int, ...]
    spent: float


def solve(problem: Problem, start: Placement, budget: float) -> tuple[Placement, int]:
    """The best placement found, and the peak in bytes below which none is proved to exist.

    Asks for the lower bound first; where that is not reached, bisects between it and the best peak. Each
    question may take half of what is left of `budget`, the solver's deterministic time over all runs; where
    some stay open, the peak returned may be above the bound returned. Raises PlanError where a run still runs
    after minutes.
    """
    unit = _unit(problem)
    best, proven = start, problem.lower_bound
    target = lowest = proven
    while lowest < best.peak and budget >= _FIRST_RUN:
        answer = _ask(problem, target, unit, budget / 2)
        budget -= answer.spent
        if answer.verdict is _Verdict.FEASIBLE:
            best = _placement(problem, answer.offsets)
        else:
            lowest = target + unit
            if answer.verdict is _Verdict.INFEASIBLE:
                proven = lowest
        target = lowest + max(0, best.peak - unit - lowest) // (2 * unit) * unit
    return best, proven


def _unit(problem: Problem) -> int:
    """Bytes that divide all sizes and starts: some optimal plan has only multiples of it as offsets.

    Pushed down together as far as their order one above the other allows, buffers come to lie at sums and
    differences of sizes and starts.
    """
    parts = [part for buffer in problem.buffers for part in buffer.parts]
    return math.gcd(*(rounded(p.size, problem.alignment) for p in parts), *(p.start for p in parts))


def _ask(problem: Problem, peak: int, unit: int, budget: float) -> _Answer:
    """Whether a placement fits in `peak` bytes: short runs with different seeds, then longer ones."""
    model, offsets = _model(problem, peak, unit)
    spent = 0.0
    for seed, limit in enumerate(_run_lengths(budget)):
        solver = _solver(seed, limit)
        status = solver.solve(model)
        spent += solver.response_proto.deterministic_time
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return _Answer(_Verdict.FEASIBLE, tuple(solver.value(offset) * unit for offset in offsets), spent)
        if status == cp_model.INFEASIBLE:
            return _Answer(_Verdict.INFEASIBLE, (), spent)
        if status != cp_model.UNKNOWN or solver.wall_time >= _WALL_GUARD:
            raise PlanError(
                f"CP-SAT did not place {len(offsets)} buffers in {peak} bytes: "
                f"{solver.status_name(status)} after {solver.wall_time:.0f} s; "
                "plan with a budget of 0 for the solver, or with another version of ortools"
            )
    return _Answer(_Verdict.UNKNOWN, (), spent)


def _run_lengths(budget: float) -> Iterator[float]:
    """Deterministic times of runs that together take `budget`."""
    limit = _FIRST_RUN
    while True:
        for _ in range(_RUNS_OF_A_LENGTH):
            yield min(limit, budget)
            budget -= limit
            if budget <= 0:
                return
        limit *= _GROWTH


def _model(problem: Problem, peak: int, unit: int) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
    """Rectangles that may not overlap, fixed in time; those of a buffer share its offset, in `unit` bytes.

    There is no hint: repairing that of a plan with a higher peak took more than 15 s where
    solving without one took less than 1 s.
    """
    model = cp_model.CpModel()
    offsets, times, places = [], [], []
    for buffer, extent in zip(problem.buffers, problem.extents, strict=True):
        offset = model.new_int_var(0, (peak - extent) // unit, buffer.name)
        offsets.append(offset)
        for part in buffer.parts:
            size = rounded(part.size, problem.alignment) // unit
            times.append(model.new_fixed_size_interval_var(part.first, part.last - part.first, ""))
            places.append(model.new_fixed_size_interval_var(offset + part.start // unit, size, ""))
    model.add_no_overlap_2d(times, places)
    return model, offsets


def _solver(seed: int, limit: float) -> cp_model.CpSolver:
    """One worker, no linear relaxation (it tells nothing of feasibility here), stopped by its own clock."""
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = seed
    solver.parameters.search_branching = cp_model.PORTFOLIO_SEARCH
    solver.parameters.linearization_level = 0
    solver.parameters.max_deterministic_time = limit
    solver.parameters.max_time_in_seconds = _WALL_GUARD
    # Otherwise Ctrl-C would end the run as if its budget were spent, and the planner would go on.
    solver.parameters.catch_sigint_signal = False
    return solver


def _placement(problem: Problem, offsets: tuple[int, ...]) -> Placement:
    peak = max(offset + extent for offset, extent in zip(offsets, problem.extents, strict=True))
    order = tuple(sorted(range(len(offsets)), key=lambda i: (offsets[i], i)))
    return Placement(offsets, peak, order, ORDER_NAME)
