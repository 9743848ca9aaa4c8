"""Where the ticks of a training step go, and what a multiply-accumulate (MAC) costs.

forward = the operators of the forward pass. backward = all after it: loss, gradients and updates. The ticks
are those of the profiling build (`RunDocument.operator_ticks`), MACs are the plan's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.errors import ResultsError
from harness.results.document import PlannedOperator, RunDocument


@dataclass(frozen=True)
class Cost:
    """Ticks and MACs of one operator or of several."""

    ticks: int
    macs: int

    @property
    def per_mac(self) -> float | None:
        """Ticks a MAC; None where there is none."""
        return self.ticks / self.macs if self.macs else None


@dataclass(frozen=True)
class OperatorCost:
    operator: PlannedOperator
    cost: Cost


@dataclass(frozen=True)
class StepCosts:
    """The operators of one training step in execution order."""

    operators: tuple[OperatorCost, ...]

    @property
    def forward(self) -> Cost:
        return self.of("forward")

    @property
    def backward(self) -> Cost:
        """Everything after the forward pass."""
        return self.of("backward", "update")

    @property
    def total(self) -> Cost:
        return self.of("forward", "backward", "update")

    def of(self, *phases: str) -> Cost:
        """The sum over the operators of `phases`."""
        return total_cost(entry.cost for entry in self.operators if entry.operator.phase in phases)


def total_cost(costs: Iterable[Cost]) -> Cost:
    found = tuple(costs)
    return Cost(sum(cost.ticks for cost in found), sum(cost.macs for cost in found))


def step_costs(run: RunDocument) -> StepCosts | None:
    """None for a run that was not profiled; ResultsError where profile and plan name other operators."""
    if not run.operator_ticks:
        return None
    planned = run.plan.operators if run.plan is not None else ()
    if [operator.name for operator in planned] != [entry.operator for entry in run.operator_ticks]:
        raise ResultsError(
            f"{run.method} on {run.target}, seed {run.seed}: the operators that were profiled are not"
            " those of the plan; run it again into a new folder"
        )
    return StepCosts(
        tuple(
            OperatorCost(operator, Cost(entry.ticks, operator.macs))
            for operator, entry in zip(planned, run.operator_ticks, strict=True)
        )
    )
