"""What in a run document contradicts itself or weakens its figures: one sentence each, for the report."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.results.document import RunDocument, Sram, TickSeries

MINIMUM_TICK_SAMPLES = 30


def contradictions(run: RunDocument) -> tuple[str, ...]:
    """What cannot all be true: no figure of this run is to be relied on. Sentences without the run's name."""
    return tuple(_sram_doubts(run))


def cautions(run: RunDocument) -> tuple[str, ...]:
    """What weakens figures of this run, its own warnings first. Sentences without the run's name."""
    own = (*run.warnings, *_retry_doubts(run))
    return (*own, *_plan_doubts(run), *_tick_doubts(run), *_training_doubts(run), *_source_doubts(run))


def _retry_doubts(run: RunDocument) -> Iterator[str]:
    if run.retries:
        count = len(run.retries)
        last = "; ".join(filter(None, (run.retries[-1].error, run.retries[-1].recovery)))
        times = "once" if count == 1 else f"{count} times"
        yield f"unstable: the way to the device broke {times} before this result ({last})"


def _plan_doubts(run: RunDocument) -> Iterator[str]:
    if run.foreign is not None and run.status == "done":
        yield "not compiled by trainbench: there is no plan that the bytes it touched could be held against"


def _sram_doubts(run: RunDocument) -> Iterator[str]:
    if run.sram is None:
        return
    sram = run.sram
    total = sram.static + sram.state + sram.arena + sram.stack
    if sram.peak != total:
        yield f"peak SRAM is given as {sram.peak} bytes, but static, state, arena and stack add up to {total}"
    if sram.arena_touched > sram.arena:
        yield f"{sram.arena_touched} arena bytes were touched, but only {sram.arena} are planned"
    if not sram.untouched_outside:
        yield "painting found bytes touched outside plan, stack, static data, state and agent"
    if run.plan is not None and run.plan.arena_bytes > sram.arena:
        yield f"the plan needs an arena of {run.plan.arena_bytes} bytes, the firmware has {sram.arena}"
    if (lacking := _lacking(sram)) != sram.lacking_bytes:
        yield f"the document says {sram.lacking_bytes} bytes are lacking, peak and budget say {lacking}"


def _lacking(sram: Sram) -> int:
    return max(0, sram.peak - sram.budget_bytes) if sram.budget_bytes is not None else 0


def _tick_doubts(run: RunDocument) -> Iterator[str]:
    series: tuple[tuple[str, TickSeries | None], ...] = (
        ("training step", run.step_ticks),
        ("prediction", run.predict_ticks),
    )
    for what, ticks in series:
        if ticks is not None and len(ticks.values) < MINIMUM_TICK_SAMPLES:
            yield f"ticks of a {what} are from {len(ticks.values)} samples, fewer than {MINIMUM_TICK_SAMPLES}"


def _training_doubts(run: RunDocument) -> Iterator[str]:
    if run.accuracy is None:
        return
    bad = next((step for step, loss in enumerate(run.accuracy.losses, 1) if not math.isfinite(loss)), None)
    if bad is not None:
        yield f"the training loss is not finite from step {bad} on: training diverged"


def _source_doubts(run: RunDocument) -> Iterator[str]:
    if run.status != "done":
        return
    if run.provenance.git_revision is None:
        yield "the source revision is unknown"
    elif run.provenance.git_dirty:
        yield "the working tree had changes that are in no revision"
