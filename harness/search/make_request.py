"""From what the user typed to a checked request: every name resolved, every file read once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from engine.compiler import DEFAULT_GRADIENT, CompileOptions
from engine.errors import SchemeError
from engine.frontends import load_backbone
from engine.frontends.backbone import Backbone
from engine.schemes import Scheme, load_scheme
from engine.search.freeze import ORDERS
from engine.search.space import make_space
from fixtures.datasets import absolute_specification, load_dataset
from harness.backbones import backbone_file
from harness.errors import UsageError
from harness.run.prepare import SCHEME_LIBRARY
from harness.run.request import check_gradients, check_roundings, check_targets
from harness.run.session import STEP_SECONDS
from harness.search.budget import parse_budget
from harness.search.folds import make_folds
from harness.search.host_compiler import host_compiler
from harness.search.request import COSTS, DEFAULT_EVALUATIONS, DEFAULT_RATES, METHODS, SearchRequest
from harness.search.scores import MEASURES
from harness.search.setting import TARGET, Setting
from harness.targets import load_target


@dataclass(frozen=True)
class Wishes:
    """The command's arguments, as they were given."""

    backbone: str
    dataset: str
    budget: str
    cost: str
    method: str
    target: str | None
    compare: tuple[str, ...]
    layers: str
    depths: str
    measure: str
    learning_rates: str | None
    epochs: int
    seeds: int
    folds: int
    seed: int
    evaluations: int | None
    threshold: float
    order: str
    rounding: str
    gradient: str | None
    out: Path
    trials: Path
    step_seconds: float | None


def make_search(wishes: Wishes) -> SearchRequest:
    """Check everything that can be checked before the first trial. Raises the kinds of all three packages."""
    budget = parse_budget(wishes.budget)
    for what, name, known in (
        ("cost", wishes.cost, COSTS),
        ("method", wishes.method, METHODS),
        ("measure", wishes.measure, MEASURES),
        ("order of freezing", wishes.order, ORDERS),
    ):
        if name not in known:
            raise UsageError(f"no {what} named {name!r}; there are: {', '.join(known)}")
    options_gradient = wishes.gradient or DEFAULT_GRADIENT
    check_roundings((wishes.rounding,))
    check_gradients((options_gradient,))
    rates = parse_rates(wishes.learning_rates)
    if not math.isfinite(wishes.threshold):
        raise UsageError(f"a threshold of {wishes.threshold} makes no sense")
    _check_tools(wishes.target)
    path = backbone_file(wishes.backbone).absolute()
    backbone = load_backbone(path)
    space = make_space(backbone, wishes.layers, wishes.depths)
    compared = tuple(_compared(spec, backbone) for spec in dict.fromkeys(wishes.compare))
    specification = absolute_specification(wishes.dataset)
    dataset = load_dataset(specification, backbone.input_size)
    make_folds(dataset, wishes.folds)
    setting = Setting(
        backbone=path,
        model_digest=backbone.digest,
        dataset=specification,
        dataset_digest=dataset.digest,
        image_size=backbone.input_size,
        options=CompileOptions(
            classes=len(dataset.class_names), rounding=wishes.rounding, gradient=options_gradient
        ),
        epochs=wishes.epochs,
        folds=wishes.folds,
        step_seconds=wishes.step_seconds or STEP_SECONDS,
    )
    return SearchRequest(
        setting=setting,
        backbone=backbone,
        space=space,
        class_names=dataset.class_names,
        dataset_name=dataset.name,
        dataset_description=dataset.description,
        method=wishes.method,
        cost=wishes.cost,
        budget=budget,
        seed=wishes.seed,
        evaluations=wishes.evaluations or DEFAULT_EVALUATIONS[wishes.cost],
        seeds=tuple(range(wishes.seeds)),
        rates=rates,
        measure=wishes.measure,
        threshold=wishes.threshold,
        order=wishes.order,
        compare=compared,
        target=wishes.target,
        out=wishes.out.absolute(),
        trials=wishes.trials.absolute(),
    )


def parse_rates(text: str | None) -> tuple[float, ...]:
    """Ascending, each once; UsageError for what is no list of positive numbers."""
    if text is None:
        return DEFAULT_RATES
    try:
        rates = tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError:
        rates = ()
    if not rates or not all(0 < rate < 1e6 for rate in rates):
        raise UsageError(
            "--learning-rates takes positive numbers with commas between them, such as 0.001,0.002,"
            f" not {text!r}"
        )
    return rates


def _compared(spec: str, backbone: Backbone) -> Scheme:
    scheme = load_scheme(spec, backbone, SCHEME_LIBRARY)
    if scheme.selection != "magnitude":
        raise SchemeError(
            f"scheme {scheme.name} selects channels by {scheme.selection!r}; a search compares schemes that"
            " select by magnitude"
        )
    return scheme


def _check_tools(target: str | None) -> None:
    host_compiler(load_target(TARGET))
    if target is None:
        return
    if not any(region.kind == "ram" for region in load_target(target).regions):
        raise UsageError(f"target {target} is no microcontroller: its SRAM cannot be measured")
    check_targets((target,))
