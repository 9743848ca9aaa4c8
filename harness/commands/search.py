"""`trainbench search NET --dataset D --budget B`: which scheme to use, found by real training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.commands.options import DATASET_HELP, GradientOption, StepTimeoutOption

if TYPE_CHECKING:
    from harness.search.pool import Pool
    from harness.search.request import SearchRequest


def search(
    backbone: Annotated[str, typer.Argument(help="A network: .npz, .pkl, or the name of a shipped one.")],
    dataset: Annotated[str, typer.Option("--dataset", metavar="SPEC", help=DATASET_HELP)],
    budget: Annotated[
        str, typer.Option("--budget", help="Bytes, or KB or MB, such as 100KB (1 KB = 1024 bytes).")
    ],
    cost: Annotated[
        str,
        typer.Option(
            "--cost", help="What the budget limits. analytic: the paper's extra memory; sram: the peak."
        ),
    ] = "analytic",
    method: Annotated[str, typer.Option("--method", help="evolution, random or freeze.")] = "evolution",
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Measure peak SRAM here, and keep the budget there.")
    ] = None,
    compare: Annotated[
        list[str] | None, typer.Option("--compare", help="A scheme to train beside; may be repeated.")
    ] = None,
    layers: Annotated[
        str, typer.Option("--layers", help="Whose weights: first-pointwise of each block, or all.")
    ] = "first-pointwise",
    depths: Annotated[
        str, typer.Option("--depths", help="Biases of the last K convolutions: at blocks, or all K.")
    ] = "blocks",
    measure: Annotated[
        str,
        typer.Option("--measure", help="Of contributions: probability (of the true class), accuracy, loss."),
    ] = "probability",
    learning_rates: Annotated[
        str | None,
        typer.Option("--learning-rates", metavar="A,B,…", help="Per image; the best is chosen once."),
    ] = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Of every trial, after one of warm-up.")] = 4,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of every scheme.")] = 2,
    folds: Annotated[
        int,
        typer.Option("--folds", min=1, help="Cross-validate beside the test part; 1: the validation part."),
    ] = 4,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of evolution and random search.")] = 0,
    evaluations: Annotated[
        int | None,
        typer.Option(
            "--evaluations",
            min=1,
            help="Schemes that evolution and random search ask about; default: 10000, for sram 3000.",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option("--threshold", min=0.0, help="freeze: how far the measure may fall.")
    ] = 0.01,
    order: Annotated[
        str, typer.Option("--order", help="freeze: contribution (least first), memory (most first), greedy.")
    ] = "contribution",
    rounding: Annotated[
        str, typer.Option("--rounding", help="Of weight updates: nearest, stochastic or extended.")
    ] = "stochastic",
    gradient: GradientOption = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the results; trials that are finished in it are kept.")
    ] = Path("runs/search"),
    trials: Annotated[
        Path | None,
        typer.Option("--trials", help="Keep trials here, to share them with other searches; default: --out."),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option("--parallel", "-j", min=1, help="Trials at once; default: the processor cores."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Run trials on a Dask cluster: tcp://HOST:PORT."),
    ] = None,
    step_timeout: StepTimeoutOption = None,
) -> None:
    """Find the update scheme that contributes most to accuracy within a memory budget.

    Trains the biases of the last layers, and the weights of single layers on top, by themselves; then
    searches for the best combination. Accuracies are of held-out images, none of them of the test part.
    Writes scheme.toml (for --scheme), evaluations.csv, search.json and search.html to --out.
    """
    from harness.progress import busy
    from harness.run.folder import locked
    from harness.search.make_request import Wishes, make_search

    wishes = Wishes(
        backbone=backbone,
        dataset=dataset,
        budget=budget,
        cost=cost,
        method=method,
        target=target,
        compare=tuple(compare or ()),
        layers=layers,
        depths=depths,
        measure=measure,
        learning_rates=learning_rates,
        epochs=epochs,
        seeds=seeds,
        folds=folds,
        seed=seed,
        evaluations=evaluations,
        threshold=threshold,
        order=order,
        rounding=rounding,
        gradient=gradient,
        out=out,
        trials=trials or out,
        step_seconds=step_timeout,
    )
    with busy("reading the network and the dataset"):
        request = make_search(wishes)
    with ExitStack() as stack:
        for folder in sorted({request.out, request.trials}):
            stack.enter_context(locked(folder))
        pool = stack.enter_context(_pool(parallel, scheduler))
        _run(request, pool, remote=scheduler is not None, parallel=parallel)
    typer.echo(f"results: {request.out}")


def _run(request: SearchRequest, pool: Pool, *, remote: bool, parallel: int | None) -> None:
    from harness.results.search_document import save_search
    from harness.run.request import processor_cores
    from harness.search.costing import Costing
    from harness.search.document import make_document
    from harness.search.laboratory import Laboratory
    from harness.search.planning import Plans
    from harness.search.pool import LocalPool
    from harness.search.progress import SearchProgress
    from harness.search.search import run_search
    from harness.search.tables import print_search, write_evaluations, write_scheme
    from reports.search import render_search

    started = datetime.now(UTC).isoformat(timespec="seconds")
    setting, out = request.setting, request.out
    local = LocalPool(parallel or processor_cores())
    plans = Plans(setting.backbone, setting.model_digest, setting.options, request.trials, local, {})
    plans.load()
    with SearchProgress() as watcher:
        laboratory = Laboratory(
            setting, request.trials, None if remote else request.trials / "build", pool, watcher
        )
        costing = Costing(request, plans)
        try:
            outcome = run_search(request, laboratory, costing)
            document = make_document(request, outcome, costing, started)
        finally:
            plans.save()
    write_evaluations(out / "evaluations.csv", laboratory.asked)
    write_scheme(out / "scheme.toml", document, request.backbone)
    save_search(out / "search.json", document)
    (out / "search.html").write_text(render_search(document), encoding="utf-8")
    print_search(document)
    for note in document.notes:
        typer.echo(f"note: {note}", err=True)


@contextmanager
def _pool(parallel: int | None, scheduler: str | None) -> Iterator[Pool]:
    from harness.run.request import processor_cores
    from harness.search.pool import LocalPool

    if scheduler is None:
        yield LocalPool(parallel or processor_cores())
        return
    from harness.search.dask_pool import dask_pool

    with dask_pool(scheduler) as pool:
        yield pool
