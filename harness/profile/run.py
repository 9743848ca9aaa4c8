"""From a profile request to a run document: compile, build twice, train a few steps, read SRAM back.

The document is of the same kind as a suite's, so that its figures and charts are the same too. It has no
accuracy: the pictures are noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.frontends import load_backbone
from engine.schemes import network_shape
from engine.update_rules import DEFAULT_MOMENTUM, DEFAULT_PRECISION, DEFAULT_RULE
from harness.measure.accuracy import Course
from harness.profile import pictures
from harness.results.document import RunDocument
from harness.run.assemble import Inputs
from harness.run.cell import Samples, Task
from harness.run.execute import CellJob, prepare_method, run_on_samples
from harness.run.session import STEP_SECONDS
from harness.run.workers import Report
from harness.suite import Method

SUITE = "profile"
"""What a profile's run document says in place of a suite."""
SEED = 0
STEPS = 5
LEARNING_RATE = 1e-4
"""Per image. Small: no step on noise may end in a loss that is not finite."""


@dataclass(frozen=True)
class ProfileRequest:
    """What to profile. `steps`: of the measured build; the profiling build runs up to five of them."""

    backbone: Path
    scheme: str
    classes: int
    target: str
    rounding: str
    gradient: str
    steps: int = STEPS
    step_seconds: float = STEP_SECONDS
    accumulate: int = 1
    qas: bool = True
    rule: str = DEFAULT_RULE
    momentum: float = DEFAULT_MOMENTUM
    convolution_rate: float = 1.0
    precision: str = DEFAULT_PRECISION


def profile_scheme(request: ProfileRequest, folder: Path, report: Report) -> RunDocument:
    """Compile and build in `folder`, run, and measure. `report(done, total)` hears of device calls.

    Raises EngineError's kinds where the scheme does not compile, HarnessError's where it cannot be run:
    NoRoomError when it needs more SRAM than the target has.
    """
    inputs, samples = _inputs(request)
    method = _method(request)
    prepared = prepare_method(
        inputs,
        method,
        request.rounding,
        request.gradient,
        targets=(request.target,),
        sram_budget=None,
        profile=True,
        folder=folder,
        report=lambda done, total: None,
    )
    if request.target in prepared.refused:
        raise prepared.refused[request.target]
    job = CellJob(
        inputs=inputs,
        method=method,
        target=request.target,
        split="final",
        trainer=prepared.trainer,
        firmware=prepared.firmware[request.target],
        profiled=prepared.profiled[request.target],
        task=_task(request),
        step_seconds=request.step_seconds,
        inputs_digest="",
        fewest_ticks=1,
    )
    return run_on_samples(job, samples, report)


def _method(request: ProfileRequest) -> Method:
    return Method.model_validate(
        {
            "name": request.scheme,
            "learning_rate": LEARNING_RATE,
            "accumulate": request.accumulate,
            "quantization_aware_scaling": request.qas,
            "rule": request.rule,
            "momentum": request.momentum,
            "convolution_rate": request.convolution_rate,
            "precision": request.precision,
        }
    )


def _inputs(request: ProfileRequest) -> tuple[Inputs, Samples]:
    backbone = load_backbone(request.backbone)
    samples = pictures.noise_samples(request.steps, backbone.input_size, request.classes)
    inputs = Inputs(
        suite=SUITE,
        backbone=request.backbone,
        model_name=backbone.name,
        model_digest=backbone.digest,
        dataset="",
        dataset_name=pictures.NAME,
        dataset_description=pictures.describe(samples),
        dataset_digest=pictures.digest(samples),
        class_names=samples.class_names,
        image_size=backbone.input_size,
        network=network_shape(backbone),
    )
    return inputs, samples


def _task(request: ProfileRequest) -> Task:
    return Task(
        seed=SEED,
        course=Course(LEARNING_RATE, epochs=1, warmup_epochs=0, schedule="constant", flips=False),
        steps=request.steps,
        digest_steps=(request.steps,),
        predictions=1,
        measure_sram=True,
        whole_course=False,
        curve_points=1,
        computed_on=request.target,
    )
