"""What the user gives to run a paper suite, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UsageError
from harness.paper.suite import PaperMethod, PaperSuite


@dataclass(frozen=True)
class PaperOptions:
    """What the user gives. `datasets`: specification by the name that the suite has for it."""

    data: Path | None = None
    datasets: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    out: Path | None = None
    steps: int | None = None
    reduced: bool = False
    parallel: int | None = None
    step_seconds: float | None = None


def parse_datasets(given: Sequence[str]) -> dict[str, str]:
    """Specification by name, from NAME=SPEC; UsageError for anything else, and for a name given twice."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, specification = text.partition("=")
        if not equals or not name or not specification:
            raise UsageError(f"--dataset takes NAME=SPEC here, such as vww=vww:COCO_FOLDER, not {text!r}")
        if name in found:
            raise UsageError(f"--dataset {name} is given twice")
        found[name] = specification
    return found


def check_options(suite: PaperSuite, options: PaperOptions) -> None:
    if options.data is not None and not options.data.expanduser().is_dir():
        raise UsageError(f"--data {options.data} is not a folder")
    _check_names(suite, "network", options.networks, suite.networks)
    _check_names(suite, "method", options.methods, [method.name for method in suite.methods])
    if options.datasets and not suite.dataset_names:
        raise UsageError(
            f"suite {suite.name} takes no --dataset: it measures memory and ticks, for which any pictures do"
        )
    _check_names(suite, "dataset", tuple(options.datasets), suite.dataset_names)
    if options.reduced and suite.reduced is None:
        raise UsageError(f"suite {suite.name} has no reduced form")
    for what, given in (("--target", options.targets), ("--steps", options.steps)):
        if given and suite.cost is None:
            raise UsageError(f"suite {suite.name} takes no {what}: it trains on the host")


def _check_names(suite: PaperSuite, what: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            raise UsageError(
                f"suite {suite.name} has no {what} named {name!r}; there are: {', '.join(known)}"
            )


def wanted_methods(suite: PaperSuite, network: str, wanted: tuple[str, ...]) -> list[PaperMethod]:
    """The suite's methods for `network`, or those of them named in `wanted`."""
    return [method for method in suite.methods_of(network) if not wanted or method.name in wanted]
