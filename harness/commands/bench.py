"""`trainbench bench kernels --target T`: instructions per multiply-accumulate of every kernel."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.commands.options import StepTimeoutOption

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
