"""Evolutionary search for the choice of the largest total under a budget, and random search beside it.

Both ask for the cost of a scheme as a black box and count how many schemes they asked about. Costs are asked
for in batches whose order comes from the seed alone, so that whoever answers may do so in parallel.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from engine.errors import SchemeError
from engine.search.contributions import Contributions
from engine.search.sampling import Generator, crossed, mutated, random_choice, reduced
from engine.search.space import CLASSIFIER, Choice, describe

Costs = Callable[[Sequence[Choice]], Sequence[int]]
"""Bytes of each choice. A figure above the budget may be a lower bound."""

DEFAULT_EVALUATIONS = 10_000
BATCH = 32
PARENTS = 8
FIRST_BATCH = 128
REPAIRED = 0.5
"""Share of children that are made from what was over the budget, by taking something away."""
CROSSED = 0.3
AGAIN = 0.3
"""Chance that a change is followed by another."""
_ATTEMPTS = 20
"""How often something new is tried for each place of a batch, before the batch is let be smaller."""


class NothingFitsError(SchemeError):
    """A budget below the cost of the classifier alone."""


@dataclass(frozen=True)
class Found:
    """What a search found. `asked`: every choice with its cost, in the order of asking.

    `progress`: (schemes asked about, best total so far) after each batch.
    """

    best: Choice
    cost: int
    total: float
    asked: tuple[tuple[Choice, int], ...]
    progress: tuple[tuple[int, float], ...]

    @property
    def evaluations(self) -> int:
        return len(self.asked)


class _Search:
    """What is known so far; asks about nothing twice."""

    def __init__(self, contributions: Contributions, costs: Costs, budget: int, evaluations: int) -> None:
        self.contributions, self.budget = contributions, budget
        self._costs, self._evaluations = costs, evaluations
        self.known: dict[Choice, int] = {}
        self._within: dict[Choice, tuple[float, int, Choice]] = {}
        self.progress: list[tuple[int, float]] = []
        self.ask([CLASSIFIER])
        if self.known[CLASSIFIER] > budget:
            raise NothingFitsError(
                f"no scheme meets a budget of {budget} bytes; the smallest possible, the classifier alone,"
                f" needs {self.known[CLASSIFIER]} bytes"
            )

    @property
    def left(self) -> int:
        return self._evaluations - len(self.known)

    def ask(self, choices: Sequence[Choice]) -> None:
        for choice, cost in zip(choices, self._costs(choices), strict=True):
            self.known[choice] = cost
            if cost <= self.budget:
                # What sorts first is best: the largest total, of equal ones the cheapest.
                self._within[choice] = (-self.contributions.total(choice), cost, choice)
        self.progress.append((len(self.known), self.contributions.total(self.best)))

    @property
    def best(self) -> Choice:
        return min(self._within.values())[2] if self._within else CLASSIFIER

    def parents(self) -> list[Choice]:
        """The best choices within the budget, and the best one of every depth.

        A deeper scheme has to give up weights to stay within the budget, and is worse until it has found
        those it can do without: without a place of its own it would not live to find them.
        """
        ranked = sorted(self._within.values())
        chosen = dict.fromkeys(choice for _, _, choice in ranked[:PARENTS])
        of_depth = {choice.depth: choice for _, _, choice in reversed(ranked)}
        chosen |= dict.fromkeys(of_depth[depth] for depth in sorted(of_depth))
        return list(chosen)

    def over(self, batch: Sequence[Choice]) -> list[Choice]:
        """Of `batch` what is over the budget, but would be among the best if it were not."""
        worst = -heapq.nsmallest(PARENTS, self._within.values())[-1][0]
        return [
            choice
            for choice in batch
            if self.known[choice] > self.budget and self.contributions.total(choice) > worst
        ]

    def new(self, make: Callable[[], Choice], count: int) -> list[Choice]:
        """Up to `count` choices that were not asked about; fewer where `make` finds nothing new."""
        found: dict[Choice, None] = {}
        for _ in range(_ATTEMPTS * count):
            if len(found) == min(count, self.left):
                break
            choice = make()
            if choice not in self.known:
                found[choice] = None
        return list(found)

    def found(self) -> Found:
        best = self.best
        return Found(
            best,
            self.known[best],
            self.contributions.total(best),
            tuple(self.known.items()),
            tuple(self.progress),
        )


def evolve(
    contributions: Contributions,
    costs: Costs,
    budget: int,
    seed: int,
    evaluations: int = DEFAULT_EVALUATIONS,
) -> Found:
    """Evolve schemes within `budget` bytes, asking about at most `evaluations` of them.

    The first generation is random. The parents of each next one are the best schemes found within the budget;
    children are changes of one, crossings of two, or members of the last generation that were over the
    budget, with something taken away. NothingFitsError below the cost of the classifier alone.
    """
    search = _Search(contributions, costs, budget, evaluations)
    generator = np.random.Generator(np.random.PCG64(seed))
    batch = search.new(lambda: random_choice(contributions, generator), FIRST_BATCH)
    while batch:
        search.ask(batch)
        children = partial(_child, search.parents(), search.over(batch), contributions, generator)
        batch = search.new(children, BATCH) or search.new(
            lambda: random_choice(contributions, generator), BATCH
        )
    return search.found()


def _child(
    parents: Sequence[Choice], over: Sequence[Choice], contributions: Contributions, generator: Generator
) -> Choice:
    """A change of a parent, a crossing of two, or something over the budget brought down."""
    if over and generator.random() < REPAIRED:
        made = reduced(_one_of(over, generator), contributions, generator)
        while generator.random() < AGAIN:
            made = reduced(made, contributions, generator)
        return made
    made, other = _one_of(parents, generator), _one_of(parents, generator)
    if made != other and generator.random() < CROSSED:
        made = crossed(made, other, contributions, generator)
        if generator.integers(2):
            return made
    made = mutated(made, contributions, generator)
    while generator.random() < AGAIN:
        made = mutated(made, contributions, generator)
    return made


def _one_of(choices: Sequence[Choice], generator: Generator) -> Choice:
    return choices[int(generator.integers(len(choices)))]


def random_search(
    contributions: Contributions,
    costs: Costs,
    budget: int,
    seed: int,
    evaluations: int = DEFAULT_EVALUATIONS,
) -> Found:
    """The best of `evaluations` random schemes that fits: what evolution has to beat at equal evaluations."""
    search = _Search(contributions, costs, budget, evaluations)
    generator = np.random.Generator(np.random.PCG64(seed))
    while batch := search.new(lambda: random_choice(contributions, generator), FIRST_BATCH):
        search.ask(batch)
    return search.found()


def summary(found: Found) -> str:
    """One line, e.g. `b20 w24:0.25: total 0.031, 98304 bytes, 2000 schemes asked about`."""
    return (
        f"{describe(found.best)}: total {found.total:.4f}, {found.cost} bytes,"
        f" {found.evaluations} schemes asked about"
    )
