"""Figures of a cell that are held against each other exactly: bytes, instructions, digests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from harness.results.document import RunDocument, TickSeries
from harness.results.regression_document import Change, How, Verdict
from harness.results.tree import CellKey

SRAM_FIGURES = ("peak", "static", "state", "arena", "stack", "agent")
TICK_FIGURES = ("step_ticks", "predict_ticks")


@dataclass(frozen=True)
class Pair:
    """One cell, finished in both."""

    key: CellKey
    base: RunDocument
    head: RunDocument

    def change(
        self,
        figure: str,
        unit: str,
        base: float | int | str | None,
        head: float | int | str | None,
        verdict: Verdict,
        how: How | None = "exact",
        note: str = "",
    ) -> Change:
        unstable = "unstable: measured after a retry" if self.base.retries or self.head.retries else ""
        return Change(
            suite=self.key.suite,
            target=self.key.target,
            method=self.key.method,
            seeds=(self.key.seed,),
            figure=figure,
            unit=unit,
            base=base,
            head=head,
            how=how,
            verdict=verdict,
            note="; ".join(part for part in (note, unstable) if part),
        )


def lost_figures(pair: Pair) -> Iterator[Change]:
    """What BASE measured and HEAD did not."""
    for figure in ("sections", "sram", "step_ticks", "predict_ticks", "digests", "accuracy"):
        if getattr(pair.base, figure) and not getattr(pair.head, figure):
            yield pair.change(figure, "", None, None, "missing", None, "BASE measured it, HEAD did not")


def exact_changes(pair: Pair) -> Iterator[Change]:
    base, head = pair.base, pair.head
    tools = _tools(pair)
    if base.sram is not None and head.sram is not None:
        for name in SRAM_FIGURES:
            figure = "peak_sram" if name == "peak" else name
            yield _less_is_better(pair, figure, getattr(base.sram, name), getattr(head.sram, name), tools)
    if base.sections is not None and head.sections is not None:
        yield _less_is_better(pair, "flash", base.sections.flash, head.sections.flash, tools)
    if base.plan is not None and head.plan is not None:
        yield _less_is_better(pair, "plan_peak", base.plan.arena_bytes, head.plan.arena_bytes, tools)
    for figure, one, other in tick_pairs(pair):
        if one.unit != other.unit or (one.unit == "instructions" and len(one.values) != len(other.values)):
            note = f"{len(one.values)} {one.unit} and {len(other.values)} {other.unit}"
            yield pair.change(figure, one.unit, None, None, "not-comparable", None, note)
        elif one.unit == "instructions":
            yield _instructions(pair, figure, one, other, tools)
    if (change := _digests(pair)) is not None:
        yield change


def _tools(pair: Pair) -> str:
    """What else differs, as a reason for other bytes and instructions."""
    first, second = pair.base.provenance, pair.head.provenance
    found = []
    if first.toolchain != second.toolchain:
        found.append(f"compiler {first.toolchain} and {second.toolchain}")
    if first.compiler_flags != second.compiler_flags:
        found.append("other compiler flags")
    one, other = first.versions.get("qemu"), second.versions.get("qemu")
    if one != other:
        found.append(f"emulator {one} and {other}")
    return "; ".join(found)


def _less_is_better(pair: Pair, figure: str, base: int, head: int, note: str) -> Change:
    verdict: Verdict = "unchanged" if base == head else "regression" if head > base else "improvement"
    return pair.change(figure, "bytes", base, head, verdict, "exact", note if base != head else "")


def tick_pairs(pair: Pair) -> Iterator[tuple[str, TickSeries, TickSeries]]:
    for figure in TICK_FIGURES:
        one: TickSeries | None = getattr(pair.base, figure)
        other: TickSeries | None = getattr(pair.head, figure)
        if one is not None and other is not None and one.values and other.values:
            yield figure, one, other


def middle(ticks: TickSeries) -> float | int:
    middle = median(ticks.values)
    return int(middle) if float(middle).is_integer() else middle


def _instructions(pair: Pair, figure: str, one: TickSeries, other: TickSeries, tools: str) -> Change:
    before, after = sum(one.values), sum(other.values)
    same = one.values == other.values
    verdict: Verdict = "unchanged" if same else "changed"
    if before != after:
        verdict = "regression" if after > before else "improvement"
    count = sum(a != b for a, b in zip(one.values, other.values, strict=True))
    note = "" if same else "; ".join(filter(None, [f"{count} of {len(one.values)} differ", tools]))
    return pair.change(figure, one.unit, middle(one), middle(other), verdict, "exact", note)


def _digests(pair: Pair) -> Change | None:
    one, other = ({digest.steps: digest.state for digest in run.digests} for run in (pair.base, pair.head))
    if not one or not other:
        return None
    shared = sorted({*one} & {*other})
    if not shared:
        note = "no state was digested after the same number of steps"
        return pair.change("state_digest", "", None, None, "not-comparable", None, note)
    differing = [steps for steps in shared if one[steps] != other[steps]]
    steps = differing[0] if differing else shared[-1]
    verdict: Verdict = "changed" if differing else "unchanged"
    note = "the trainer computes other bits" if differing else ""
    return pair.change(
        "state_digest", f"sha256 after {steps} steps", one[steps], other[steps], verdict, "exact", note
    )
