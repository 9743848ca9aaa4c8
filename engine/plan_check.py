"""Checks a memory plan by walking the operators and looking at the address map of each.

Shares no code with the planner, only its data types, so that one mistake cannot hide in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING

from engine.errors import PlanError

if TYPE_CHECKING:
    from engine.plan import Buffer, Plan


class ViolationCode(StrEnum):
    """What can be wrong with a plan."""

    OVERLAP = "overlap"  # parts of two buffers share bytes while both are live
    OUTSIDE = "outside"  # a part does not lie within [0, peak)
    MISALIGNED = "misaligned"  # a part lies at no multiple of the alignment
    MISSING = "missing"  # a buffer without an offset
    DUPLICATE = "duplicate"  # a name that stands twice among the buffers or among the offsets
    UNKNOWN = "unknown"  # an offset for a buffer that does not exist
    BOUND = "bound"  # a stated bound is not what the buffers count to, is below that, or is above the peak


@dataclass(frozen=True)
class _Box:
    """A part where the plan puts it: bytes [low, high) of the arena in operators [first, last)."""

    name: str
    low: int
    high: int
    first: int
    last: int


@dataclass(frozen=True)
class Violation:
    """One fault of a plan: its code, the names of the buffers it concerns, and a sentence."""

    code: ViolationCode
    buffers: tuple[str, ...]
    message: str


def check_plan(buffers: Sequence[Buffer], plan: Plan) -> list[Violation]:
    """Every violation of `plan` for `buffers`, in a fixed order; an empty list means that the plan holds."""
    violations = [*_name_violations(buffers, plan)]
    offsets = dict(plan.placements)
    boxes = sorted(_boxes(buffers, offsets), key=lambda box: (box.low, box.name, box.first))
    violations += _place_violations(boxes, plan)
    violations += _overlaps(boxes)
    violations += _bound_violations(buffers, plan)
    return violations


def require_valid_plan(buffers: Sequence[Buffer], plan: Plan) -> None:
    """Raise PlanError, naming every violation, where `plan` does not hold for `buffers`."""
    violations = check_plan(buffers, plan)
    if violations:
        listed = "; ".join(f"{v.code}: {v.message}" for v in violations)
        raise PlanError(f"the memory plan has {len(violations)} violation(s): {listed}")


def _name_violations(buffers: Sequence[Buffer], plan: Plan) -> Iterator[Violation]:
    wanted = Counter(b.name for b in buffers)
    given = Counter(name for name, _ in plan.placements)
    for name in sorted(wanted | given):
        if wanted[name] > 1 or given[name] > 1:
            text = f"{name} stands {wanted[name]} times among the buffers and {given[name]} times in the plan"
            yield Violation(ViolationCode.DUPLICATE, (name,), text)
        if not given[name]:
            yield Violation(ViolationCode.MISSING, (name,), f"{name} has no offset")
        if not wanted[name]:
            yield Violation(ViolationCode.UNKNOWN, (name,), f"{name} has an offset but is no buffer")


def _boxes(buffers: Sequence[Buffer], offsets: Mapping[str, int]) -> Iterator[_Box]:
    for buffer in buffers:
        if buffer.name in offsets:
            for part in buffer.parts:
                low = offsets[buffer.name] + part.start
                yield _Box(buffer.name, low, low + part.size, part.first, part.last)


def _place_violations(boxes: Iterable[_Box], plan: Plan) -> Iterator[Violation]:
    for box in boxes:
        if box.low < 0 or box.high > plan.peak:
            text = f"{box.name} takes bytes [{box.low}, {box.high}) of an arena of {plan.peak} bytes"
            yield Violation(ViolationCode.OUTSIDE, (box.name,), text)
        if box.low % plan.alignment:
            text = f"{box.name} has bytes at offset {box.low}, which is no multiple of {plan.alignment}"
            yield Violation(ViolationCode.MISALIGNED, (box.name,), text)


def _overlaps(boxes: Sequence[_Box]) -> list[Violation]:
    """Each pair that shares bytes, once: found in the address map of the operators where a part begins."""
    found: dict[tuple[str, str], Violation] = {}
    for operator in sorted({box.first for box in boxes}):
        live = [box for box in boxes if box.first <= operator < box.last]
        for lower, upper in combinations(live, 2):
            shared = range(max(lower.low, upper.low), min(lower.high, upper.high))
            pair = (lower.name, upper.name)
            if len(shared) and pair not in found and pair[::-1] not in found:
                text = (
                    f"{lower.name} and {upper.name} share bytes [{shared.start}, {shared.stop}) "
                    f"from operator {operator}"
                )
                found[pair] = Violation(ViolationCode.OVERLAP, pair, text)
    return list(found.values())


def _bound_violations(buffers: Sequence[Buffer], plan: Plan) -> Iterator[Violation]:
    """What can be counted again is; what only the solver proved is believed up to the peak."""
    most = 0
    for operator in {part.first for b in buffers for part in b.parts}:
        parts = (part for b in buffers for part in b.parts)
        live = sum(p.size + -p.size % plan.alignment for p in parts if p.first <= operator < p.last)
        most = max(most, live)
    for buffer in buffers:
        ends = (part.start + part.size for part in buffer.parts)
        most = max([most, *(end + -end % plan.alignment for end in ends)])
    if plan.counted_bound != most or not most <= plan.lower_bound <= plan.peak:
        text = (
            f"counted bound {plan.counted_bound}, lower bound {plan.lower_bound}, peak {plan.peak}, "
            f"but the buffers count to {most} bytes"
        )
        yield Violation(ViolationCode.BOUND, (), text)
