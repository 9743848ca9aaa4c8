"""The command line, `trainbench`. One command a module in `harness.commands`, which import lazily.

Exit codes: 0 done; 1 a bug (with a traceback); 2 an expected error, one sentence on stderr; 130 Ctrl-C;
143 SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from typing import Annotated, NoReturn

import typer

from harness.commands.accuracy import accuracy
from harness.commands.bench import bench
from harness.commands.compare import compare
from harness.commands.compile import compile_command
from harness.commands.datasets import datasets
from harness.commands.farm import farm
from harness.commands.figures import figures
from harness.commands.nightly import nightly
from harness.commands.profile import profile
from harness.commands.rack import rack
from harness.commands.report import report
from harness.commands.run import run
from harness.commands.search import search
from harness.commands.targets import targets
from harness.ending import raise_on

app = typer.Typer(
    name="trainbench",
    help="Measure training on microcontrollers, on the hardware.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run)
app.command("targets")(targets)
app.command("datasets")(datasets)
app.command("compile")(compile_command)
app.command("report")(report)
app.command("compare")(compare)
app.command("figures")(figures)
app.command("accuracy")(accuracy)
app.command("profile")(profile)
app.command("search")(search)
app.command("nightly")(nightly)
app.add_typer(bench, name="bench")
app.add_typer(rack, name="rack")
app.add_typer(farm, name="farm")


RESUMED = (["run"], ["accuracy"], ["search"], ["nightly"])
"""Commands that go on in a folder where they were interrupted."""


class Ended(BaseException):
    """SIGINT or SIGTERM, raised like KeyboardInterrupt, so that everything is closed on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _print_version(wanted: bool) -> None:
    if wanted:
        from harness.provenance import trainbench_version

        typer.echo(f"trainbench {trainbench_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Measure training on microcontrollers, on the hardware."""


def main() -> NoReturn:
    """Run the command line and exit."""
    raise_on((signal.SIGINT, signal.SIGTERM), Ended)
    sys.exit(run_command_line())


def run_command_line() -> int:
    """The exit code of what `sys.argv` asks for; usage errors and --help leave by SystemExit."""
    try:
        app()
    except _expected() as error:
        return _fail(str(error), 2)
    except OSError as error:
        from harness.disk import refusal

        known = refusal(error)
        if known is None:
            raise
        return _fail(str(known), 2)
    except Ended as ended:
        word = "interrupted" if ended.number == signal.SIGINT else "terminated"
        kept = "; finished cells are kept, the same --out goes on" if sys.argv[1:2] in RESUMED else ""
        return _fail(f"{word}{kept}", 128 + ended.number)
    return 0


def _expected() -> tuple[type[Exception], ...]:
    from engine.errors import EngineError
    from fixtures.errors import FixtureError
    from harness.errors import HarnessError

    return HarnessError, EngineError, FixtureError


def _fail(message: str, code: int) -> int:
    typer.echo(f"trainbench: {message}", err=True)
    return code


if __name__ == "__main__":
    main()
