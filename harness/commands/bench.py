"""`trainbench bench`: instructions of every kernel; what the harness adds to an emulator's own run."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.commands.options import BackboneOption, StepTimeoutOption

bench = typer.Typer(help="Measure parts of a trainer on their own.", no_args_is_help=True)


@bench.callback()
def _bench() -> None:
    """Measure parts of a trainer on their own."""


@bench.command("kernels")
def kernels(
    target: Annotated[str, typer.Option("--target", "-t", help="Where to run; see `trainbench targets`.")],
    kernel: Annotated[
        list[str] | None,
        typer.Option("--kernel", "-k", help="Only this kernel, such as add or add+mask; may be repeated."),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print figures as CSV and nothing else.")] = False,
    step_timeout: StepTimeoutOption = None,
) -> None:
    """Count the instructions of every kernel at MCUNet's shapes, beside those of its plain C.

    Both run in one firmware on the same data; if any byte they write differs, that is an error.
    """
    from harness.bench.cases import select_cases
    from harness.bench.run import run_bench
    from harness.bench.table import bench_figures, print_bench
    from harness.progress import ProgressWatcher
    from harness.run.request import check_targets
    from harness.run.session import STEP_SECONDS
    from harness.targets import load_target
    from harness.work_folder import work_folder

    check_targets((target,))
    cases = select_cases(kernel)
    job = f"kernels on {target}"
    with ProgressWatcher() as watcher, work_folder("bench") as folder:
        watcher.started(job)
        measured = run_bench(
            load_target(target),
            cases,
            folder,
            step_timeout or STEP_SECONDS,
            lambda done, total: watcher.progress(job, done, total),
        )
        watcher.finished(job, "")
    if csv:
        typer.echo(bench_figures(measured).to_csv(index=False), nl=False)
    else:
        print_bench(measured)


@bench.command("overhead")
def overhead(
    target: Annotated[str, typer.Option("--target", "-t", help="Where to run; see `trainbench targets`.")],
    method: Annotated[
        str, typer.Option("--method", "-m", help="Method of people-detection.")
    ] = "sparse-49kb",
    steps: Annotated[int, typer.Option("--steps", min=30, help="Training steps.")] = 200,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="Of a method without one.")] = 1e-3,
    backbone: BackboneOption = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print figures as CSV and nothing else.")] = False,
    step_timeout: StepTimeoutOption = None,
) -> None:
    """Run a cell and show how much of its time the emulator executes, and what the rest is."""
    from harness.bench.overhead import measure_overhead
    from harness.bench.overhead_table import overhead_figures, print_overhead
    from harness.progress import ProgressWatcher
    from harness.run.request import Overrides, check_targets, make_request
    from harness.work_folder import work_folder

    check_targets((target,))
    wanted = Overrides(
        targets=(target,),
        methods=(method,),
        seeds=(0,),
        steps=steps,
        undeclared_rate=learning_rate,
        backbone=backbone,
        step_seconds=step_timeout,
    )
    request = make_request("people-detection", wanted)
    job = f"{method} on {target}"
    with ProgressWatcher() as watcher, work_folder("overhead") as folder:
        watcher.started(job)
        found = measure_overhead(
            request, target, folder, lambda done, total: watcher.progress(job, done, total)
        )
        watcher.finished(job, "")
    if csv:
        typer.echo(overhead_figures(found).to_csv(index=False), nl=False)
    else:
        print_overhead(found)
