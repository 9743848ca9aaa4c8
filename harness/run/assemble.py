"""From what was measured to a run document."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from fixtures.peers import peer_figures
from harness.errors import MeasurementError
from harness.firmware.build import Firmware
from harness.measure.latency import MINIMUM_SAMPLES, tick_series
from harness.measure.sram import Touched
from harness.provenance import host_description, package_versions, running_revision, trainbench_version
from harness.results import document
from harness.results.document import Provenance, ReferenceFigure, RunDocument, Sections, Sram, TickSeries
from harness.results.store import INPUTS_DIGEST
from harness.run.cell import Measurement
from harness.run.prepare import Trainer
from harness.suite import Method
from harness.targets import Target
from harness.trainers.ask import ForeignTrainer


@dataclass(frozen=True)
class Inputs:
    """What all cells of a run share. Digests are hexadecimal SHA-256."""

    suite: str
    backbone: Path
    model_name: str
    model_digest: str
    dataset: str
    """Specification, as `load_dataset` takes it."""
    dataset_name: str
    dataset_description: str
    dataset_digest: str
    class_names: tuple[str, ...]
    image_size: int
    """Height and width of the network's input, pixels."""
    network: tuple[int, int] = (0, 0)
    """(convolutions, convolution weights): by which peers' figures are found."""
    channels: int = 3
    """Of the network's input: 3 is RGB, 1 gray."""
    dataset_index: str = ""
    """SHA-256 of the dataset without its pixels."""
    foreign: ForeignTrainer | None = None
    """The trainer that the user brought; None: one is compiled for `backbone`."""


def make_sram(firmware: Firmware, trainer: Trainer, target: Target, touched: Touched) -> Sram:
    """Peak SRAM from section sizes and paint; MeasurementError where it contradicts the plan."""
    layout = firmware.sram
    if touched.arena > trainer.arena_bytes:
        raise MeasurementError(
            f"{touched.arena} bytes of the arena were touched on {target.name},"
            f" but {trainer.arena_bytes} are {'planned' if trainer.plan else 'what its trainer_info says'}"
        )
    return Sram(
        kind="measured",
        peak=layout.static_bytes + layout.state_bytes + layout.arena_bytes + touched.stack,
        static=layout.static_bytes,
        state=layout.state_bytes,
        arena=layout.arena_bytes,
        arena_touched=touched.arena,
        stack=touched.stack,
        agent=layout.agent_bytes,
        untouched_outside=True,
        **_budget(target, layout.static_bytes + layout.state_bytes + layout.arena_bytes + touched.stack),
    )


def planned_sram(trainer: Trainer, target: Target) -> Sram:
    """What the plan alone says, for a method that has no room on the target: arena and state, no stack."""
    peak = trainer.arena_bytes + trainer.state_bytes
    return Sram(
        kind="analytic",
        peak=peak,
        static=0,
        state=trainer.state_bytes,
        arena=trainer.arena_bytes,
        arena_touched=0,
        stack=0,
        agent=0,
        untouched_outside=True,
        **_budget(target, peak),
    )


def _budget(target: Target, peak: int) -> dict[str, Any]:
    budget = target.budget
    if budget is None:
        return {}
    return {
        "budget_part": budget.part,
        "budget_bytes": budget.sram_bytes,
        "lacking_bytes": max(0, peak - budget.sram_bytes),
    }


def make_provenance(
    inputs: Inputs,
    started: datetime,
    seconds: float,
    versions: dict[str, str],
    firmware: Firmware | None,
    plan_digest: str,
) -> Provenance:
    """Where the figures of a cell come from; `firmware` None: nothing was built."""
    revision, dirty = running_revision()
    return Provenance(
        started_at=started.isoformat(timespec="seconds"),
        duration_seconds=round(seconds, 3),
        trainbench_version=trainbench_version(),
        git_revision=revision,
        git_dirty=dirty,
        host=host_description(),
        python=versions.get("python", ""),
        toolchain=firmware.toolchain if firmware else "",
        compiler_flags=firmware.flags if firmware else (),
        versions=versions,
        model_name=inputs.model_name,
        model_digest=inputs.model_digest,
        dataset_name=inputs.dataset_name,
        dataset_description=inputs.dataset_description,
        dataset_digest=inputs.dataset_digest,
        dataset_index=inputs.dataset_index,
        image_size=inputs.image_size,
        elf_digest=firmware.digest if firmware else "",
        plan_digest=plan_digest,
    )


@dataclass(frozen=True)
class Subject:
    """What a run document is about. `firmware` None: nothing was built."""

    inputs: Inputs
    target: Target
    method: Method
    seed: int
    trainer: Trainer
    firmware: Firmware | None


def make_document(
    subject: Subject,
    measured: Measurement,
    provenance: Provenance,
    inputs_digest: str,
    fewest_ticks: int = MINIMUM_SAMPLES,
) -> RunDocument:
    """The run document of a cell that was measured; raises MeasurementError where it contradicts the plan.

    A series of fewer ticks than `fewest_ticks` is left out.
    """
    target, firmware = subject.target, subject.firmware
    if firmware is None:
        raise MeasurementError(f"{subject.method.name} was measured on {target.name} without a firmware")
    sections = firmware.sections
    warnings = list(measured.warnings)
    if firmware.large_layout:
        warnings.append(
            f"the arena does not fit the first RAM of {target.name} and lies in its larger memory"
        )
    return RunDocument(
        **_head(subject),
        status="done",
        provenance=provenance,
        sections=Sections(
            text=sections.text,
            rodata=sections.rodata,
            data=sections.data,
            bss=sections.bss,
            flash=sections.flash,
        ),
        sram=None
        if measured.touched is None
        else make_sram(firmware, subject.trainer, target, measured.touched),
        step_ticks=_series(measured.step_ticks, target, fewest_ticks),
        predict_ticks=_series(measured.predict_ticks, target, fewest_ticks),
        operator_ticks=measured.operator_ticks,
        energy=measured.energy,
        clock=None if measured.clock is None else document.Clock(**asdict(measured.clock)),
        digests=measured.digests,
        accuracy=measured.accuracy,
        warnings=tuple(warnings),
        references=_references(subject),
        notes={INPUTS_DIGEST: inputs_digest, "state_bytes": str(subject.trainer.state_bytes)},
    )


def unmeasured_document(subject: Subject, status: Literal["not-run", "failed"], reason: str) -> RunDocument:
    """The document of a cell that was not run or failed: the reason and the plan, no figure from a device.

    One that was not run has no room on the target; its planned SRAM says by how much.
    """
    plan_digest = subject.trainer.plan_digest
    return RunDocument(
        **_head(subject),
        status=status,
        reason=reason,
        provenance=make_provenance(
            subject.inputs, datetime.now(UTC), 0.0, package_versions(), subject.firmware, plan_digest
        ),
        sram=planned_sram(subject.trainer, subject.target) if status == "not-run" else None,
    )


def _head(subject: Subject) -> dict[str, Any]:
    return {
        "suite": subject.inputs.suite,
        "target": subject.target.name,
        "target_title": subject.target.title,
        "core": subject.target.core,
        "method": subject.method.name,
        "seed": subject.seed,
        "scheme": subject.trainer.scheme,
        "foreign": _foreign(subject.inputs),
        "plan": subject.trainer.plan,
    }


def _foreign(inputs: Inputs) -> document.ForeignTrainer | None:
    if inputs.foreign is None:
        return None
    info = inputs.foreign.info
    return document.ForeignTrainer(
        network=info.network,
        scheme=info.scheme,
        input_size=inputs.foreign.image_size,
        input_channels=info.input_channels,
        classes=info.classes,
    )


def _references(subject: Subject) -> tuple[ReferenceFigure, ...]:
    """What peers need for exactly this work."""
    inputs = subject.inputs
    found = peer_figures(
        inputs.network,
        inputs.image_size,
        subject.method.scheme_name,
        len(inputs.class_names),
        subject.target.core,
    )
    return tuple(ReferenceFigure(**asdict(figure)) for figure in found)


def _series(ticks: tuple[int, ...], target: Target, fewest: int) -> TickSeries | None:
    """A cell that runs fewer steps than a latency takes is there for its digest alone."""
    return tick_series(ticks, target, fewest) if len(ticks) >= fewest else None
