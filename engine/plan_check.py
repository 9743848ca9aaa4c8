"""Checks a memory plan by walking the operators and looking at the address map of each.

Shares no code with the planner, only its two data types, so that one mistake cannot hide in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING

from engine.errors import PlanError

if TYPE_CHECKING:
    from engine.plan import Buffer, Plan


class ViolationCode(StrEnum):
    """What can be wrong with a plan."""

    OVERLAP = "overlap"  # two buffers share bytes while both are live
    OUTSIDE = "outside"  # a buffer does not lie within [0, peak)
    MISALIGNED = "misaligned"  # an offset is no multiple of the alignment
    MISSING = "missing"  # a buffer without an offset
    DUPLICATE = "duplicate"  # a name that stands twice among the buffers or among the offsets
    UNKNOWN = "unknown"  # an offset for a buffer that does not exist
    BOUND = "bound"  # the stated lower bound is not the most bytes live at once, or is above the peak


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
    placed = sorted((offsets[b.name], b.name, b) for b in buffers if b.name in offsets)
    for offset, name, buffer in placed:
        if offset < 0 or offset + buffer.size > plan.peak:
            text = f"{name} takes bytes [{offset}, {offset + buffer.size}) of an arena of {plan.peak} bytes"
            violations.append(Violation(ViolationCode.OUTSIDE, (name,), text))
        if offset % plan.alignment:
            text = f"{name} lies at offset {offset}, which is no multiple of {plan.alignment}"
            violations.append(Violation(ViolationCode.MISALIGNED, (name,), text))
    violations += _overlaps([(offset, buffer) for offset, _, buffer in placed])
    return violations + _bound_violations(buffers, plan)


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


def _overlaps(placed: Iterable[tuple[int, Buffer]]) -> list[Violation]:
    """Each pair that shares bytes, once: found in the address map of the operators where a buffer begins."""
    placed = list(placed)
    found: dict[tuple[str, str], Violation] = {}
    for operator in sorted({buffer.first for _, buffer in placed}):
        live = [(offset, b) for offset, b in placed if b.first <= operator < b.last]
        for (low, lower), (high, upper) in combinations(live, 2):
            shared = range(max(low, high), min(low + lower.size, high + upper.size))
            pair = (lower.name, upper.name)
            if len(shared) and pair not in found:
                text = (
                    f"{lower.name} and {upper.name} share bytes [{shared.start}, {shared.stop}) "
                    f"from operator {operator}"
                )
                found[pair] = Violation(ViolationCode.OVERLAP, pair, text)
    return list(found.values())


def _bound_violations(buffers: Sequence[Buffer], plan: Plan) -> list[Violation]:
    most = 0
    for operator in {b.first for b in buffers}:
        live = (b.size for b in buffers if b.first <= operator < b.last)
        most = max(most, sum(size + -size % plan.alignment for size in live))
    if plan.lower_bound == most and most <= plan.peak:
        return []
    text = f"lower bound {plan.lower_bound}, peak {plan.peak}, but {most} bytes are live at once"
    return [Violation(ViolationCode.BOUND, (), text)]
