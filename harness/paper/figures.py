"""Figures of ours for the cells of a paper suite, taken from their run documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.paper.parts import HOST, Protocol
from harness.paper.run import MethodResult, PartResult
from harness.results.document import RunDocument
from harness.results.figures import figures
from harness.results.paper import FigureName, Own

COST_FIGURES: tuple[FigureName, ...] = ("extra_memory", "peak_sram", "step_ticks")
ACCURACY_FIGURES: tuple[FigureName, ...] = ("extra_memory", "accuracy_after")
PLAN_NOTE = "arena and state as planned: neither static data nor stack, and read from no device"


@dataclass(frozen=True)
class OwnCell:
    """One method of a part. `status` other than done: `reason` says why."""

    protocol: Protocol
    network: str
    dataset: str
    method: str
    figures: dict[FigureName, Own]
    documents: tuple[RunDocument, ...] = ()
    status: str = "done"
    reason: str = ""


def own_cells(result: PartResult, root: Path) -> list[OwnCell]:
    """One cell a method and target of the part; paths of run documents relative to `root`."""
    part = result.part
    cells = []
    for method in result.methods:
        for target in part.request.targets:
            runs = tuple(run for run in method.documents if run.target == target)
            status, reason = _status(method, runs)
            found = _figures(result, runs, target, root) if runs and status != "failed" else {}
            cells.append(
                OwnCell(part.protocol, part.network, part.dataset, method.method, found, runs, status, reason)
            )
    return cells


def _status(method: MethodResult, runs: Sequence[RunDocument]) -> tuple[str, str]:
    """failed where any seed failed: no mean of the rest is shown for it."""
    if method.failure:
        return "failed", method.failure
    for status in ("failed", "not-run"):
        for run in runs:
            if run.status == status:
                return status, run.reason
    return "done", ""


def _figures(
    result: PartResult, runs: Sequence[RunDocument], target: str, root: Path
) -> dict[FigureName, Own]:
    cost = result.part.protocol == "cost"
    wanted = COST_FIGURES if cost else ACCURACY_FIGURES
    paths = result.paths(runs, root)
    rows = {row["figure"]: row for row in figures(runs).to_dict("records")}
    found = {
        name: Own(
            value=row["value"],
            low=row["low"],
            high=row["high"],
            unit=row["unit"],
            kind=row["kind"],
            target=target,
            runs=paths,
            note=result.part.note,
        )
        for name in wanted
        if (row := rows.get(name)) is not None
    }
    if cost and target == HOST:
        return {
            **_planned(runs, paths),
            **{name: own for name, own in found.items() if name == "extra_memory"},
        }
    return found


def _planned(runs: Sequence[RunDocument], paths: tuple[str, ...]) -> dict[FigureName, Own]:
    """Peak SRAM of what runs on the host alone: what its plan says."""
    plans = [
        run.plan.arena_bytes + int(run.notes["state_bytes"])
        for run in runs
        if run.plan is not None and "state_bytes" in run.notes
    ]
    if not plans:
        return {}
    own = Own(value=max(plans), unit="bytes", kind="analytic", target=HOST, runs=paths, note=PLAN_NOTE)
    return {"peak_sram": own}
