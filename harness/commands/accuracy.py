"""`trainbench accuracy SUITE`: learning rates chosen on validation data, then accuracy over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.options import (
    BackboneOption,
    DatasetOption,
    EpochsOption,
    JobsOption,
    StepTimeoutOption,
)

if TYPE_CHECKING:
    from harness.suite import Study

DEFAULT_EPOCHS = 10


def accuracy(
    suite: Annotated[str, typer.Argument(help="Name of a suite, such as what-to-update.")],
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", help="Train this method; may be repeated.")
    ] = None,
    scheme: Annotated[
        list[Path] | None,
        typer.Option(
            "--scheme", metavar="FILE", help="Train this scheme (.toml) beside the methods; may be repeated."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--target", "-t", help="Measure SRAM and ticks on this target; default: the suite's."),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Whether to measure on a target at all.")
    ] = True,
    rounding: Annotated[
        list[str] | None,
        typer.Option("--rounding", help="nearest, stochastic or extended; several are compared."),
    ] = None,
    gradient: Annotated[
        list[str] | None,
        typer.Option("--gradient", help="f32 or i16; several are compared. Default: the suite's."),
    ] = None,
    learning_rates: Annotated[
        str | None,
        typer.Option(
            "--learning-rates", metavar="A,B,…", help="The grid of every method, step sizes per image."
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Seeds of the final training; default: the suite's.")
    ] = None,
    selection_seeds: Annotated[
        int | None, typer.Option("--selection-seeds", min=1, help="Seeds of the choice of learning rates.")
    ] = None,
    selection_folds: Annotated[
        int | None,
        typer.Option(
            "--selection-folds",
            min=1,
            max=10,
            help="Choose rates over this many folds of what is not tested; 1: on the validation part.",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds", min=1, max=20, help="Cross-validate over this many folds; 1: the dataset's split."
        ),
    ] = None,
    backbone: BackboneOption = None,
    dataset: DatasetOption = None,
    epochs: EpochsOption = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the results; what is finished in it is kept.")
    ] = Path("runs/accuracy"),
    jobs: JobsOption = None,
    step_timeout: StepTimeoutOption = None,
) -> None:
    """Measure held-out accuracy by method, at batch 1, on the host.

    Each method's learning rates are chosen on validation images. Prints a table with 95 % intervals over
    seeds and test images and the paired difference to last-layer; where several roundings or gradient formats
    are given, the paired difference to the first one too. Writes accuracy.csv, accuracy.json, study.json and
    study.html to --out.
    """
    from harness.progress import ProgressWatcher, busy
    from harness.results.study import save_study
    from harness.run.request import Overrides, check_gradients, check_roundings, request_for
    from harness.study.plan import make_plan
    from harness.study.protocol import run_study
    from harness.study.tables import print_study, write_rows
    from harness.study.variants import Options
    from harness.suite import load_suite
    from reports import write_study_report

    check_roundings(rounding or ())
    check_gradients(gradient or ())
    rates = _parse_rates(learning_rates)
    declared = load_suite(suite)
    settings = _settings(declared.study, seeds, selection_seeds, selection_folds, folds, target, measure)
    with busy("reading the network and the dataset") as report:
        request = request_for(
            declared,
            Overrides(
                methods=tuple(method or (one.name for one in declared.methods)),
                schemes=tuple(scheme or ()),
                backbone=backbone,
                dataset=dataset,
                out=out,
                epochs=epochs or settings.epochs or DEFAULT_EPOCHS,
                # Replaced by the chosen one.
                undeclared_rate=1e-3,
                parallel=jobs,
                step_seconds=step_timeout,
            ),
            reference_only=True,
            report=report,
        )
    options = Options(
        tuple(dict.fromkeys(rounding or (request.suite.rounding,))),
        tuple(dict.fromkeys(gradient or (request.suite.gradient,))),
    )
    plan = make_plan(request, options, rates, settings)
    with ProgressWatcher() as watcher:
        study = run_study(plan, watcher, say=lambda text: typer.echo(text, err=True))
    save_study(request.out, study)
    write_rows(study, request.out)
    print_study(study)
    for warning in study.warnings:
        typer.echo(f"note: {warning}", err=True)
    with busy("rendering the report"):
        page = write_study_report(request.out)
    typer.echo(f"results: {request.out}")
    typer.echo(f"report: {page}")


def _settings(
    declared: Study,
    seeds: int | None,
    selection_seeds: int | None,
    selection_folds: int | None,
    folds: int | None,
    target: str | None,
    measure: bool,
) -> Study:
    """The suite's settings with those of the command line in their place."""
    given = {
        "seeds": seeds,
        "selection_seeds": selection_seeds,
        "selection_folds": selection_folds,
        "folds": folds,
        "measure_on": target if measure else "",
    }
    return declared.model_copy(update={name: value for name, value in given.items() if value is not None})


def _parse_rates(text: str | None) -> tuple[float, ...]:
    from harness.errors import UsageError

    if text is None:
        return ()
    try:
        return tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError:
        raise UsageError(
            f"--learning-rates takes numbers with commas between them, such as 0.001,0.002, not {text!r}"
        ) from None
