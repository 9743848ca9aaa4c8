"""What schemes cost by the measure the budget limits, and what is left to measure on a target."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from engine.schemes import extra_memory
from engine.search.contributions import Contributions
from engine.search.costs import AdditiveCosts, analytic_costs, smallest_arena, state_costs
from engine.search.evolution import Found
from engine.search.optimum import optimum
from engine.search.space import CLASSIFIER, Choice, to_scheme
from harness.errors import UsageError
from harness.profile.run import ProfileRequest, profile_scheme
from harness.results.store import write_atomically
from harness.search.planning import OVERHEAD, Plans
from harness.search.request import SearchRequest
from harness.search.scheme_file import scheme_toml

_ROUNDS = 5
"""How often a search is repeated where the target needed more than was reckoned with."""


@dataclass
class Costing:
    """Costs of a request's schemes. `overhead`: bytes of a peak beside state and arena."""

    request: SearchRequest
    plans: Plans
    overhead: int = OVERHEAD
    measured: dict[Choice, int] = field(default_factory=dict)
    """Peak SRAM on the request's target."""

    def costs(self, choices: Sequence[Choice]) -> list[int]:
        """What the budget limits, of each; a figure above the budget may be a lower bound."""
        if self.request.cost == "analytic":
            return [self._analytic.bytes(choice) for choice in choices]
        least = {choice: self._least_peak(choice) for choice in choices}
        wanted = [choice for choice in choices if least[choice] <= self.request.budget]
        peaks = dict(zip(wanted, self.plans.peaks(wanted, self.request.budget, self.overhead), strict=True))
        return [peaks.get(choice, least[choice]) for choice in choices]

    def cost(self, choice: Choice) -> int:
        """What the budget limits, exactly."""
        return self.planned_peak(choice) if self.request.cost == "sram" else self.extra_memory(choice)

    def extra_memory(self, choice: Choice) -> int:
        return extra_memory(to_scheme(choice, self.request.backbone), self.request.backbone)

    def planned_peak(self, choice: Choice) -> int:
        """State + arena of the plan + overhead."""
        return self.plans.exact(choice).total + self.overhead

    def best(self, contributions: Contributions) -> tuple[Choice | None, float | None]:
        """The best choice where costs add up, and the largest total there can be within the budget.

        Peak SRAM does not add up. Its total is bounded by that of the best choice under the state alone,
        beside the smallest arena there can be: no scheme is known to reach it.
        """
        request = self.request
        if request.cost == "analytic":
            found = optimum(contributions, self._analytic, request.budget)
            return found, None if found is None else contributions.total(found)
        beside = self.overhead + self._smallest_arena
        bound = optimum(contributions, self._states, max(0, request.budget - beside))
        return None, None if bound is None else contributions.total(bound)

    def _least_peak(self, choice: Choice) -> int:
        """A lower bound of the peak that takes no planning."""
        return self._states.bytes(choice) + self._smallest_arena + self.overhead

    @cached_property
    def _analytic(self) -> AdditiveCosts:
        return analytic_costs(self.request.space, self.request.backbone)

    @cached_property
    def _states(self) -> AdditiveCosts:
        return state_costs(self.request.space, self.request.backbone, self.request.setting.options)

    @cached_property
    def _smallest_arena(self) -> int:
        return smallest_arena(self.plans.exact(CLASSIFIER).arena)

    def measure(self, choice: Choice) -> None:
        """Run a few steps on the target and find the bytes it needs; nothing where there is no target."""
        request = self.request
        if request.target is None or choice in self.measured:
            return
        with tempfile.TemporaryDirectory(prefix="trainbench-search-") as folder:
            path = Path(folder) / "scheme.toml"
            write_atomically(path, scheme_toml(to_scheme(choice, request.backbone)))
            run = profile_scheme(
                ProfileRequest(
                    backbone=request.setting.backbone,
                    scheme=str(path),
                    classes=len(request.class_names),
                    target=request.target,
                    rounding=request.setting.options.rounding,
                    gradient=request.setting.options.gradient,
                    step_seconds=request.setting.step_seconds,
                ),
                Path(folder) / "build",
                lambda done, total: None,
            )
        if run.sram is None:
            raise UsageError(f"target {request.target} is no microcontroller: its SRAM cannot be measured")
        self.measured[choice] = run.sram.peak

    def reckon(self) -> None:
        """Take the overhead from what was measured so far."""
        if self.measured:
            self.overhead = max(peak - self.plans.exact(one).total for one, peak in self.measured.items())


def search_within(costing: Costing, search: Callable[[], Found]) -> Found:
    """Search until what is found is within the budget on the target too, where there is one."""
    for _ in range(_ROUNDS):
        found = search()
        if costing.request.cost != "sram" or costing.request.target is None:
            return found
        costing.measure(found.best)
        if costing.measured[found.best] <= costing.request.budget:
            return found
        costing.reckon()
    raise UsageError(
        f"no scheme was found that keeps within {costing.request.budget} bytes on {costing.request.target}:"
        f" the last one needs {costing.measured[found.best]}; give a larger budget"
    )
