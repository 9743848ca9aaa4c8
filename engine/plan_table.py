"""A memory plan as text: the comment at the head of generated C, and what `trainbench compile` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.errors import PlanError
from engine.plan import Buffer, Plan


def format_plan(buffers: Sequence[Buffer], plan: Plan) -> str:
    """One line a part, buffers sorted by offset, then by first operator; bytes, lifetimes half-open.

    A buffer of one part shows its name; of several, also which part in time it is. The last line tells peak,
    lower bound, gap and certificate. The text holds no asterisk and ends without a newline. Raises PlanError
    where a buffer has no offset.
    """
    missing = sorted(b.name for b in buffers if b.name not in plan.offsets)
    if missing:
        raise PlanError(
            f"the plan gives no offset to {', '.join(missing)}; plan the same buffers that you print"
        )
    ordered = sorted(buffers, key=lambda b: (plan.offsets[b.name], b.first, b.last, b.extent, b.name))
    rows = [row for buffer in ordered for row in _rows(buffer, plan.offsets[buffer.name])]
    titles = ("offset", "end", "size", "first", "last")
    widths = [max([len(title), *(len(str(row[i])) for row, _ in rows)]) for i, title in enumerate(titles)]
    lines = ["  ".join([*(t.rjust(w) for t, w in zip(titles, widths, strict=True)), "buffer"])]
    for row, name in rows:
        lines.append("  ".join([*(str(v).rjust(w) for v, w in zip(row, widths, strict=True)), name]))
    return "\n".join([*lines, "", _summary(plan)])


def _rows(buffer: Buffer, offset: int) -> Iterator[tuple[tuple[int, ...], str]]:
    count = len(buffer.parts)
    for number, part in enumerate(buffer.parts, start=1):
        name = buffer.name if count == 1 else f"{buffer.name}, part {number} of {count}"
        low = offset + part.start
        yield (low, low + part.size, part.size, part.first, part.last), name


def _summary(plan: Plan) -> str:
    percent = f" ({plan.gap / plan.lower_bound:.2%})" if plan.gap else ""
    return (
        f"order: {plan.order}; alignment {plan.alignment} bytes\n"
        f"peak {plan.peak} bytes, lower bound {plan.lower_bound} bytes, gap {plan.gap} bytes{percent}; "
        f"{plan.certificate}"
    )
