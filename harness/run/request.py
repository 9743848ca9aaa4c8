"""From what the user asked for to a checked request: every name resolved, every file read once."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.autodiff import GRADIENTS
from engine.frontends import load_backbone
from engine.schemes import network_shape, read_scheme, scheme_names
from fixtures.datasets import Report, absolute_specification, load_dataset, not_reported
from fixtures.datasets.dataset import index_digest
from harness.devices.availability import availability
from harness.errors import ToolMissingError, UsageError
from harness.farm.hold import WAIT_SECONDS
from harness.farm.resolve import resolve_targets
from harness.provenance import PROJECT_ROOT
from harness.rack.file import find_rack
from harness.run.assemble import Inputs
from harness.run.energy import Metered, metered_targets
from harness.run.foreign import foreign_methods
from harness.run.prepare import SCHEME_LIBRARY
from harness.run.runner import Request
from harness.run.session import STEP_SECONDS
from harness.suite import Method, Suite, load_suite, method_variants, select_methods
from harness.targets import load_target

ROUNDINGS = ("nearest", "stochastic", "extended")


@dataclass(frozen=True)
class Overrides:
    """What replaces the suite's own values; empty and None: the suite's."""

    targets: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    backbone: Path | None = None
    dataset: str | None = None
    out: Path | None = None
    rounding: str | None = None
    gradient: str | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    undeclared_rate: float | None = None
    """Learning rate of methods that the suite does not declare."""
    trainers: tuple[Path, ...] = ()
    """Folders with trainers that become methods too; with no methods beside them, the only ones."""
    meters: tuple[str, ...] = ()
    """Boards of the rack whose energy is measured."""
    schemes: tuple[Path, ...] = ()
    """Scheme files that become methods too, each with the suite's variants of schemes."""
    steps: int | None = None
    sram_budget: int | None = None
    parallel: int | None = None
    step_seconds: float | None = None
    classes: int | None = None
    retries: int | None = None
    coordinator: str | None = None
    """Of the farm; None: as the environment says."""
    farm_wait: float | None = None
    """Seconds that a cell waits for a place to come free."""


def make_request(
    suite_name: str, overrides: Overrides, *, reference_only: bool = False, report: Report = not_reported
) -> Request:
    """`request_for` the suite of that name."""
    return request_for(load_suite(suite_name), overrides, reference_only=reference_only, report=report)


def request_for(
    declared: Suite, overrides: Overrides, *, reference_only: bool = False, report: Report = not_reported
) -> Request:
    """Resolve and check everything that can be checked before the first job.

    `reference_only`: run on the suite's reference target and on no other. `report`: told of pictures read.
    """
    suite = override_suite(declared, overrides)
    if overrides.learning_rate is not None and not 0 < overrides.learning_rate < 1e6:
        raise UsageError(
            f"a learning rate of {overrides.learning_rate} makes no sense; it has to be positive"
        )
    alone = bool(overrides.trainers) and not overrides.methods and not overrides.schemes
    methods = (
        ()
        if alone
        else select_methods(suite, overrides.methods, overrides.learning_rate, overrides.undeclared_rate)
    )
    resolved = resolve_targets(overrides.targets, overrides.coordinator, overrides.farm_wait or WAIT_SECONDS)
    targets = (suite.reference,) if reference_only else wanted_targets(suite, resolved.targets)
    seeds = overrides.seeds or suite.seeds
    for seed in seeds:
        if not 0 <= seed < 2**32:
            raise UsageError(f"seed {seed} does not fit 32 bits; seeds are 0 to {2**32 - 1}")
    check_targets(targets, resolved.farms)
    if alone:
        _refuse_unused(overrides)
    brought = [
        (method if overrides.epochs is None else method.model_copy(update={"epochs": None}), its)
        for method, its in foreign_methods(
            suite,
            overrides.trainers,
            [method.name for method in (*suite.methods, *methods)],
            overrides.learning_rate,
            report,
        )
    ]
    if alone:
        inputs = brought[0][1]
    else:
        inputs = read_inputs(
            suite.name, backbone_path(suite, overrides.backbone), suite.dataset, overrides.classes, report
        )
    rate = overrides.learning_rate or overrides.undeclared_rate
    chosen = with_schemes(suite, present_methods(methods, inputs.network), overrides.schemes, rate)
    return Request(
        suite=suite,
        inputs=inputs,
        targets=targets,
        methods=(*chosen, *(method for method, _ in brought)),
        meters=_meters(overrides, targets, resolved.farms),
        foreign={method.name: its for method, its in brought},
        seeds=seeds,
        out=(overrides.out or default_out(suite.name)).absolute(),
        sram_budget=overrides.sram_budget,
        parallel=overrides.parallel or processor_cores(),
        step_seconds=overrides.step_seconds or STEP_SECONDS,
        retries=overrides.retries or 0,
        farms=resolved.farms,
    )


def _meters(overrides: Overrides, targets: Sequence[str], farms: Collection[str]) -> dict[str, Metered]:
    if not overrides.meters:
        return {}
    if farms:
        raise UsageError("--meter is for boards at this computer, not for places of a farm")
    return metered_targets(find_rack(), overrides.meters, targets)


def _refuse_unused(overrides: Overrides) -> None:
    """Raise UsageError for what only trainers that are compiled here know."""
    for option, value in (
        ("--backbone", overrides.backbone),
        ("--rounding", overrides.rounding),
        ("--gradient", overrides.gradient),
        ("--classes", overrides.classes),
    ):
        if value is not None:
            raise UsageError(
                f"{option} says nothing to a trainer that a user brought; beside --trainer it needs --method"
            )


def present_methods(methods: Sequence[Method], network: tuple[int, int]) -> tuple[Method, ...]:
    """`methods` but for optional ones without a scheme in the library for a network of this shape."""
    present = set(scheme_names(SCHEME_LIBRARY, [network]))
    return tuple(method for method in methods if not method.optional or method.scheme_name in present)


def with_schemes(
    suite: Suite, methods: tuple[Method, ...], files: Sequence[Path], learning_rate: float | None
) -> tuple[Method, ...]:
    """`methods` and one for each scheme file, named as the scheme, with the suite's variants of schemes."""
    if files and learning_rate is None:
        raise UsageError("a scheme file has no tuned learning rate; give --learning-rate")
    found = list(methods)
    for path in files:
        absolute = path.expanduser().absolute()
        scheme = read_scheme(absolute)
        method = Method.model_validate(
            {"name": scheme.name, "scheme": str(absolute), "learning_rate": learning_rate}
        )
        for variant in method_variants(suite, method, suite.study.scheme_variants):
            if any(other.name == variant.name for other in found):
                raise UsageError(f"scheme file {path}: there is another method named {variant.name!r}")
            found.append(variant)
    return tuple(found)


def override_suite(suite: Suite, overrides: Overrides) -> Suite:
    """`suite` with the user's values in place of its own."""
    if overrides.rounding is not None:
        check_roundings((overrides.rounding,))
    if overrides.gradient is not None:
        check_gradients((overrides.gradient,))
    methods = suite.methods
    changes: dict[str, object] = {}
    if overrides.dataset is not None:
        changes["dataset"] = overrides.dataset
    if overrides.rounding is not None:
        changes["rounding"] = overrides.rounding
    if overrides.steps is not None:
        changes["device_steps"] = overrides.steps
    if overrides.epochs is not None:
        changes["epochs"] = overrides.epochs
        methods = tuple(method.model_copy(update={"epochs": None}) for method in methods)
    if overrides.gradient is not None:
        changes["gradient"] = overrides.gradient
        methods = tuple(method.model_copy(update={"gradient": None}) for method in methods)
    return suite.model_copy(update={**changes, "methods": methods})


def check_roundings(names: Sequence[str]) -> None:
    """Raise UsageError for a rounding that does not exist."""
    _check_names("rounding", names, ROUNDINGS)


def check_gradients(names: Sequence[str]) -> None:
    """Raise UsageError for a gradient format that does not exist."""
    _check_names("gradient format", names, GRADIENTS)


def _check_names(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise UsageError(f"no {what} named {name!r}; there are: {', '.join(known)}")


def wanted_targets(suite: Suite, targets: tuple[str, ...]) -> tuple[str, ...]:
    """The targets to run on, the reference among them: it is where the accuracy is computed."""
    return tuple(dict.fromkeys((*(targets or suite.targets), suite.reference)))


def check_targets(targets: tuple[str, ...], elsewhere: Collection[str] = ()) -> None:
    """Raise UsageError for an unknown target, ToolMissingError where a program is not installed.

    `elsewhere`: targets that are only built here, and driven from here.
    """
    needed_here = ("compiler", "CMSIS pack")
    for name in targets:
        for need in availability(load_target(name)).missing:
            if name in elsewhere and need.purpose not in needed_here:
                continue
            raise ToolMissingError(
                f"target {name} needs {need.program} ({need.purpose}), which {need.absent};"
                f" to get it: {need.hint}"
            )


def backbone_path(suite: Suite, given: Path | None) -> Path:
    """The user's file, relative to here, or the suite's, relative to the project."""
    return (given.expanduser() if given is not None else PROJECT_ROOT / suite.backbone).absolute()


def read_inputs(
    suite: str,
    backbone_file: Path,
    dataset_specification: str,
    classes: int | None = None,
    report: Report = not_reported,
) -> Inputs:
    """Read backbone and dataset once, so that a broken one is an error before any job starts.

    `classes`: outputs of the classifier, by default one a class of the dataset; more stay unused.
    """
    backbone = load_backbone(backbone_file)
    specification = absolute_specification(dataset_specification)
    dataset = load_dataset(specification, backbone.input_size, report)
    return Inputs(
        suite=suite,
        backbone=backbone_file,
        model_name=backbone.name,
        model_digest=backbone.digest,
        dataset=specification,
        dataset_name=dataset.name,
        dataset_description=dataset.description,
        dataset_digest=dataset.digest,
        dataset_index=index_digest(dataset),
        class_names=padded_classes(dataset.class_names, classes),
        image_size=backbone.input_size,
        network=network_shape(backbone),
    )


def padded_classes(names: tuple[str, ...], classes: int | None) -> tuple[str, ...]:
    """Names for all outputs of the classifier; UsageError when there are fewer outputs than classes."""
    count = len(names) if classes is None else classes
    if count < len(names):
        raise UsageError(f"the dataset has {len(names)} classes, so the classifier cannot have {count}")
    return (*names, *(f"(unused {number})" for number in range(len(names), count)))


def default_out(suite: str) -> Path:
    """A folder for this run alone, under the current one."""
    return Path("runs") / f"{suite}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"


def processor_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))
