"""A memory plan as text: the comment at the head of generated C, and what `trainbench compile` prints."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import PlanError
from engine.plan import Buffer, Plan


def format_plan(buffers: Sequence[Buffer], plan: Plan) -> str:
    """Lines sorted by offset, then by first operator; offsets and sizes in bytes, lifetimes half-open.

    The text holds no asterisk and ends without a newline. Raises PlanError where a buffer has no offset.
    """
    missing = sorted(b.name for b in buffers if b.name not in plan.offsets)
    if missing:
        raise PlanError(
            f"the plan gives no offset to {', '.join(missing)}; plan the same buffers that you print"
        )
    rows = sorted((plan.offsets[b.name], b.first, b.last, b.size, b.name) for b in buffers)
    columns = ("offset", "end", "size", "first", "last")
    cells = [(offset, offset + size, size, first, last) for offset, first, last, size, _ in rows]
    widths = [max([len(title), *(len(str(row[i])) for row in cells)]) for i, title in enumerate(columns)]
    lines = ["  ".join([*(t.rjust(w) for t, w in zip(columns, widths, strict=True)), "buffer"])]
    for row, (*_, name) in zip(cells, rows, strict=True):
        lines.append("  ".join([*(str(v).rjust(w) for v, w in zip(row, widths, strict=True)), name]))
    return "\n".join([*lines, "", _summary(plan)])


def _summary(plan: Plan) -> str:
    percent = f" ({plan.gap / plan.lower_bound:.2%})" if plan.gap else ", so the packing is optimal"
    return (
        f"peak {plan.peak} bytes, lower bound {plan.lower_bound} bytes, gap {plan.gap} bytes{percent}; "
        f"order: {plan.order}; alignment {plan.alignment} bytes"
    )
