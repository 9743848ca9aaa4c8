"""`trainbench accuracy SUITE`: learning rates chosen on a validation part, then accuracy over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.commands.options import (
    BackboneOption,
    DatasetOption,
    EpochsOption,
    JobsOption,
    StepTimeoutOption,
)


def accuracy(
    suite: Annotated[str, typer.Argument(help="Name of a suite, such as people-detection.")],
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", help="Train this method; may be repeated.")
    ] = None,
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
        typer.Option("--learning-rates", metavar="A,B,…", help="The grid, step sizes per image."),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Seeds of the final training.")] = 3,
    selection_seeds: Annotated[
        int, typer.Option("--selection-seeds", min=1, help="Seeds of the choice of the learning rate.")
    ] = 1,
    folds: Annotated[
        int,
        typer.Option("--folds", min=1, help="Cross-validate over this many folds; 1: the dataset's split."),
    ] = 1,
    backbone: BackboneOption = None,
    dataset: DatasetOption = None,
    epochs: EpochsOption = 10,
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the results; what is finished in it is kept.")
    ] = Path("runs/accuracy"),
    jobs: JobsOption = None,
    step_timeout: StepTimeoutOption = None,
) -> None:
    """Measure held-out accuracy by method, at batch 1, on the host.

    Each method's learning rate is chosen on a validation part. Prints a table with 95 % intervals over seeds
    and test images and the paired difference to last-layer; where several roundings or gradient formats are
    given, the paired difference to the first one too. Writes accuracy.json and accuracy.csv to --out.
    """
    from harness.progress import ProgressWatcher, busy
    from harness.run.request import Overrides, check_gradients, check_roundings, make_request
    from harness.study import protocol as study_module
    from harness.study.tables import print_rows, write_rows
    from harness.study.variants import Options

    roundings = tuple(dict.fromkeys(rounding or ("stochastic",)))
    check_roundings(roundings)
    check_gradients(gradient or ())
    rates = _parse_rates(learning_rates)
    with busy("reading the network and the dataset"):
        request = make_request(
            suite,
            Overrides(
                methods=tuple(method or ()),
                backbone=backbone,
                dataset=dataset,
                out=out,
                epochs=epochs,
                # Replaced by the chosen one; given so that schemes the suite does not declare can be studied.
                learning_rate=1e-3,
                parallel=jobs,
                step_seconds=step_timeout,
            ),
            reference_only=True,
        )
    options = Options(roundings, tuple(dict.fromkeys(gradient or (request.suite.gradient,))))
    study = study_module.make_study(
        request, options, rates, tuple(range(selection_seeds)), tuple(range(seeds)), folds
    )
    with ProgressWatcher() as watcher:
        rows, warnings = study_module.run_study(study, watcher)
    write_rows(rows, request.out)
    print_rows(rows)
    for warning in warnings:
        typer.echo(f"note: {warning}", err=True)
    typer.echo(f"results: {request.out}")


def _parse_rates(text: str | None) -> tuple[float, ...]:
    from harness.errors import UsageError
    from harness.study.protocol import DEFAULT_RATES

    if text is None:
        return DEFAULT_RATES
    try:
        return tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError:
        raise UsageError(
            f"--learning-rates takes numbers with commas between them, such as 0.001,0.002, not {text!r}"
        ) from None
