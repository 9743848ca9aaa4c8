"""What the studied methods need on a target: a short measured run of each firmware, held to what was trained.

SRAM and ticks do not depend on how long a course is or at which rate it is trained, so each firmware is run
for the suite's timed steps alone. Its state afterwards has to be the one that the same steps of the final
training had: only then do the accuracies count for this target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.errors import MeasurementError
from harness.results.document import RunDocument, TickSeries
from harness.results.statistics import median_and_range
from harness.results.study import Measured, Ticks
from harness.run.agreement import check_agreement
from harness.run.builds import Builds
from harness.run.runner import Request, Watcher, run_suite
from harness.study.plan import is_measurable
from harness.suite import Method

FOLDER = "measured"


@dataclass(frozen=True)
class Measurements:
    """By method: what was measured, or why not."""

    found: dict[str, Measured]
    reasons: dict[str, str]
    documents: tuple[RunDocument, ...]


def measure(
    final: Request, documents: Sequence[RunDocument], target: str, watcher: Watcher, builds: Builds
) -> Measurements:
    """Run each firmware of `final`, whose documents are given, on `target`, with the first seed."""
    representatives: dict[str, Method] = {}
    for method in final.methods:
        if is_measurable(method):
            representatives.setdefault(final.suite.firmware_key(method), method)
    if not representatives:
        return Measurements({}, {}, ())
    request = replace(
        final,
        targets=(target,),
        methods=tuple(representatives.values()),
        seeds=final.seeds[:1],
        latency=True,
        profile=False,
        out=final.out.parent / FOLDER,
    )
    runs = {run.method: run for run in run_suite(request, watcher, builds)}
    trained = {run.method: run for run in documents if run.seed == request.seeds[0]}
    found: dict[str, Measured] = {}
    reasons: dict[str, str] = {}
    for method in final.methods:
        if not is_measurable(method):
            reasons[method.name] = "float32 networks are compiled for the host alone"
            continue
        name = representatives[final.suite.firmware_key(method)].name
        try:
            found[method.name] = summary(runs[name], trained[name])
        except MeasurementError as error:
            reasons[method.name] = str(error)
    return Measurements(found, reasons, tuple(runs.values()))


def summary(run: RunDocument, trained: RunDocument) -> Measured:
    """The figures of `run`; MeasurementError where it has none, or another state than `trained`."""
    if run.status != "done" or run.sram is None or run.step_ticks is None or run.predict_ticks is None:
        raise MeasurementError(run.reason or f"{run.target} measures neither SRAM nor ticks")
    return Measured(
        target=run.target,
        sram=run.sram,
        step_ticks=_ticks(run.step_ticks),
        predict_ticks=_ticks(run.predict_ticks),
        equal_steps=check_agreement(run, trained),
    )


def _ticks(series: TickSeries) -> Ticks:
    median, low, high = median_and_range(series.values)
    return Ticks(unit=series.unit, kind=series.kind, median=median, low=low, high=high)
