"""`trainbench run SUITE`: run a suite's methods on targets, and write run documents and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.options import (
    BackboneOption,
    DatasetOption,
    EpochsOption,
    GradientOption,
    JobsOption,
    RoundingOption,
    StepTimeoutOption,
)

if TYPE_CHECKING:
    from harness.results.document import RunDocument


def run(
    suite: Annotated[str, typer.Argument(help="Name of a suite, such as people-detection.")],
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="Run on this target; may be repeated.")
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", help="Run this method; may be repeated.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option("--seed", help="Run this seed; may be repeated.")] = None,
    backbone: BackboneOption = None,
    dataset: DatasetOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the results; with finished cells in it, only the rest is run."),
    ] = None,
    rounding: RoundingOption = None,
    gradient: GradientOption = None,
    epochs: EpochsOption = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Step size per image, instead of the suite's.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=30, help="Timed training steps on every target.")
    ] = None,
    sram_budget: Annotated[
        int | None,
        typer.Option("--sram-budget", metavar="BYTES", help="Make everything beyond so much SRAM fault."),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(
            "--classes", min=2, help="Classifier outputs, where more than the dataset's are wanted."
        ),
    ] = None,
    jobs: JobsOption = None,
    step_timeout: StepTimeoutOption = None,
) -> None:
    """Run SUITE, write run documents and report.html into --out, and print the verdict.

    The suite's reference target (host) is run too: the accuracy comes from it. Exit code 2: a cell failed.
    """
    from harness.commands.verdict import print_verdict
    from harness.progress import ProgressWatcher, busy
    from harness.run.request import Overrides, make_request
    from harness.run.runner import run_suite
    from reports import write_report

    with busy("reading the network and the dataset"):
        request = make_request(
            suite,
            Overrides(
                targets=tuple(target or ()),
                methods=tuple(method or ()),
                seeds=tuple(seed or ()),
                backbone=backbone,
                dataset=dataset,
                out=out,
                rounding=rounding,
                gradient=gradient,
                epochs=epochs,
                learning_rate=learning_rate,
                steps=steps,
                sram_budget=sram_budget,
                parallel=jobs,
                step_seconds=step_timeout,
                classes=classes,
            ),
        )
    with ProgressWatcher() as watcher:
        documents = run_suite(request, watcher)
    print_verdict(documents)
    with busy("rendering the report"):
        path = write_report(request.out)
    typer.echo(f"report: {path}")
    _report_failures(documents)


def _report_failures(documents: list[RunDocument]) -> None:
    failed = [document for document in documents if document.status == "failed"]
    for document in failed:
        cell = f"{document.method} on {document.target}, seed {document.seed}"
        typer.echo(f"trainbench: {cell}: {document.reason}", err=True)
    if failed:
        raise typer.Exit(2)
