"""`trainbench run SUITE`: run a suite's methods on targets, and write run documents and a report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.options import (
    DATASET_HELP,
    BackboneOption,
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
        list[str] | None,
        typer.Option("--target", "-t", help="Run on this target, or on a farm's: farm:TAG; may be repeated."),
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", help="Run this method; may be repeated.")
    ] = None,
    seed: Annotated[list[int] | None, typer.Option("--seed", help="Run this seed; may be repeated.")] = None,
    trainer: Annotated[
        list[Path] | None,
        typer.Option(
            "--trainer",
            metavar="DIR",
            help="Run the C trainer in this folder (docs/bring-your-own-trainer.md), with --method beside"
            " those; may be repeated.",
        ),
    ] = None,
    backbone: BackboneOption = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            metavar="SPEC",
            help=f"{DATASET_HELP} Suites of the paper take NAME=SPEC, repeated.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Suites of the paper: where its networks are (.pkl)."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option("--network", help="Suites of the paper: this network only; may be repeated."),
    ] = None,
    reduced: Annotated[
        bool,
        typer.Option("--reduced", help="Suites of the paper: on samples of the datasets, in fewer epochs."),
    ] = False,
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
    probe: Annotated[
        str | None,
        typer.Option("--probe", metavar="ID", help="Unique ID of the debug probe of the board to run on."),
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
    retries: Annotated[
        int | None,
        typer.Option("--retries", min=0, help="Begin a cell again so often after a transport error."),
    ] = None,
    meter: Annotated[
        list[str] | None,
        typer.Option(
            "--meter",
            metavar="BOARD",
            help="Measure the energy of training steps with this board's meter (rack file); may be repeated.",
        ),
    ] = None,
    coordinator: Annotated[
        str | None,
        typer.Option(
            "--coordinator", metavar="HOST:PORT", help="Of targets farm:TAG; default: $LG_COORDINATOR."
        ),
    ] = None,
) -> None:
    """Run SUITE, write run documents and report.html into --out, and print the verdict.

    The suite's reference target (host) is run too: the accuracy comes from it. Suites of the paper
    (paper-memory, …) run the cells whose networks and datasets are given. Exit code 2: a cell failed.
    """
    from harness.commands.paper import one_dataset, refuse, run_paper_suite
    from harness.commands.verdict import print_verdict
    from harness.devices.probe_choice import PROBE_VARIABLE
    from harness.paper.options import PaperOptions, parse_datasets
    from harness.paper.suite import load_paper_suite, paper_suite_names
    from harness.progress import ProgressWatcher, busy
    from harness.run.request import Overrides, make_request
    from harness.run.runner import run_suite
    from harness.suite import suite_names
    from reports import write_report

    if probe is not None:
        os.environ[PROBE_VARIABLE] = probe  # for the processes that the cells run in
    unused: dict[str, object]
    if suite in paper_suite_names():
        unused = {"--seed": seed, "--backbone": backbone, "--rounding": rounding, "--gradient": gradient}
        unused |= {"--epochs": epochs, "--learning-rate": learning_rate, "--sram-budget": sram_budget}
        refuse(
            suite,
            {**unused, "--classes": classes, "--retries": retries, "--trainer": trainer, "--meter": meter},
            "its paper.toml says how its cells are run",
        )
        options = PaperOptions(
            data=data,
            datasets=parse_datasets(dataset or ()),
            networks=tuple(network or ()),
            methods=tuple(method or ()),
            targets=tuple(target or ()),
            out=out,
            steps=steps,
            reduced=reduced,
            parallel=jobs,
            step_seconds=step_timeout,
        )
        run_paper_suite(load_paper_suite(suite), options)
        return
    if suite not in suite_names():
        # Of the two loaders this one names both kinds of suites.
        load_paper_suite(suite)
    unused = {"--data": data, "--network": network, "--reduced": reduced}
    refuse(suite, unused, "it is for suites of the paper")
    with busy("reading the network and the dataset") as report:
        request = make_request(
            suite,
            Overrides(
                targets=tuple(target or ()),
                methods=tuple(method or ()),
                trainers=tuple(trainer or ()),
                meters=tuple(meter or ()),
                seeds=tuple(seed or ()),
                backbone=backbone,
                dataset=one_dataset(suite, dataset or ()),
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
                retries=retries,
                coordinator=coordinator,
            ),
            report=report,
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
