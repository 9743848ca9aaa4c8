"""Suites: one folder each under `suites/`, declared by its `suite.toml`; targets x methods x seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from engine.autodiff import GRADIENTS
from engine.compiler import DEFAULT_GRADIENT, CompileOptions, effective_options
from engine.update_rules import DEFAULT_MOMENTUM
from harness.declaration import Strict, read_declaration
from harness.errors import HarnessError, UsageError
from harness.measure.accuracy import Course, Schedule

SUITES_ROOT = Path(__file__).resolve().parent.parent / "suites"


class SuiteError(HarnessError):
    """A suite folder that is malformed."""


def _known_gradient(name: str) -> str:
    if name not in GRADIENTS:
        raise ValueError(f"no gradient format named {name!r}; there are: {', '.join(GRADIENTS)}")
    return name


Gradient = Annotated[str, AfterValidator(_known_gradient)]
"""Format of the gradients of feature maps, as the compiler names it."""

Rate = Annotated[float, Field(gt=0, lt=1e15, allow_inf_nan=False)]


class Method(Strict):
    """One update scheme with the course it is trained by. Learning rates are per image."""

    name: str
    """As on the command line and in the report."""
    scheme: str = ""
    """Name of an engine scheme or path of a scheme file; empty: the same as `name`."""
    learning_rate: float = Field(gt=0)
    epochs: int | None = Field(default=None, ge=1)
    """After the warm-up; None: the suite's."""
    fits_budget: bool = True
    """Whether it is expected to fit the SRAM budget of the part a target stands for."""
    rounding: Literal["nearest", "stochastic", "extended"] | None = None
    """Of weight updates; None: the suite's."""
    gradient: Gradient | None = None
    """Format of the gradients of feature maps; None: the suite's."""
    accumulate: int = Field(default=1, ge=1, le=65535)
    """Images per update."""
    quantization_aware_scaling: bool = True
    rule: Literal["sgd", "momentum", "adam", "lars"] = "sgd"
    """How a gradient becomes a step (`engine.update_rules`)."""
    momentum: float = Field(default=DEFAULT_MOMENTUM, ge=0, lt=1)
    """Of the rules that have one."""
    convolution_rate: float = Field(default=1.0, gt=0)
    """Learning rate of convolutions over that of the classifier."""
    precision: Literal["int8", "fp32"] = "int8"
    """fp32: a float32 graph of the same backbone, on the host."""
    learning_rates: tuple[Rate, ...] = ()
    """What `trainbench accuracy` chooses from; empty: the grid of the suite or of the command line."""
    convolution_rates: tuple[Rate, ...] = ()
    """What it chooses from for the convolutions; empty: `convolution_rate` is fixed."""
    optional: bool = False
    """Left out where there is no scheme of that name for the network."""

    @property
    def scheme_name(self) -> str:
        return self.scheme or self.name


class Study(Strict):
    """What `trainbench accuracy` does with a suite unless the command line says otherwise."""

    learning_rates: tuple[Rate, ...] = ()
    """The grid, step sizes per image; empty: that of `harness.study`."""
    selection_folds: int = Field(default=1, ge=1, le=10)
    """Folds of training and validation part over which rates are chosen; 1: the validation part alone."""
    selection_seeds: int = Field(default=1, ge=1)
    seeds: int = Field(default=3, ge=1)
    folds: int = Field(default=1, ge=1, le=20)
    """Test parts; 1: the dataset's own."""
    epochs: int | None = Field(default=None, ge=1)
    """After the warm-up; None: 10."""
    measure_on: str = ""
    """Target on which SRAM and ticks of the methods are taken; empty: none."""
    against: tuple[str, ...] = ()
    """Methods that all others are held against, beside last-layer."""
    scheme_variants: tuple[str, ...] = ()
    """Variants of a scheme that the command line adds."""


class Suite(Strict):
    """One suite folder. `folder` is filled in by the loader.

    In the file a method may name `variants`: each makes another method, named "METHOD, VARIANT", with the
    fields of that table of [variants] in place of the method's own; {name = VARIANT, …} replaces some of
    these.
    """

    name: str
    title: str
    description: str
    folder: Path
    dataset: str
    """A dataset specification, as `--dataset` takes it."""
    backbone: str
    """A file, relative to the project."""
    targets: tuple[str, ...] = Field(min_length=1)
    reference: str = "host"
    """The target that trains the whole course; its accuracy counts for others with equal state digests."""
    seeds: tuple[int, ...] = Field(min_length=1)
    rounding: Literal["nearest", "stochastic", "extended"] = "stochastic"
    gradient: Gradient = DEFAULT_GRADIENT
    device_steps: int = Field(ge=1)
    """Training steps every target runs: timed, and digested at the end."""
    digest_steps: int = Field(default=20, ge=1)
    """Training steps that a target runs with the seeds that are not timed."""
    device_predictions: int = Field(ge=1)
    epochs: int = Field(ge=1)
    warmup_epochs: int = Field(default=1, ge=0)
    schedule: Schedule = "cosine"
    flips: bool = True
    curve_points: int = Field(default=8, ge=1)
    methods: tuple[Method, ...] = Field(min_length=1)
    default_methods: tuple[str, ...] = ()
    """What `trainbench run` and pytest take unless methods are named; empty: all."""
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    study: Study = Study()

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, data: Any) -> Any:
        return _with_variants(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _check_names(self) -> Suite:
        names = [method.name for method in self.methods]
        for name in (*(n for n in names if names.count(n) > 1), *(set(self.default_methods) - set(names))):
            found = "twice" if name in names else "nowhere"
            raise ValueError(f"method {name!r} is declared {found}")
        for name in self.study.scheme_variants:
            _variant(self.variants, name)
        return self

    def course(self, method: Method) -> Course:
        """How `method` is trained."""
        return Course(
            learning_rate=method.learning_rate,
            epochs=method.epochs or self.epochs,
            warmup_epochs=self.warmup_epochs,
            schedule=self.schedule,
            flips=self.flips,
        )

    def as_compiled(self, method: Method) -> Method:
        """`method` with what its trainer is compiled with: the suite's choices, or all that fp32 knows."""
        options = effective_options(
            CompileOptions(
                classes=2,
                rounding=method.rounding or self.rounding,
                gradient=method.gradient or self.gradient,
                qas=method.quantization_aware_scaling,
                precision=method.precision,
            )
        )
        changes = {
            "rounding": options.rounding,
            "gradient": options.gradient,
            "quantization_aware_scaling": options.qas,
        }
        return method.model_copy(update=changes)

    def firmware_key(self, method: Method) -> str:
        """Methods with equal keys have the same firmware; they differ in how they are trained only."""
        method = self.as_compiled(method)
        key = f"{method.scheme_name} {method.rounding} {method.gradient}"
        key += f" accumulate-{method.accumulate}" if method.accumulate > 1 else ""
        key += f" {method.rule}-{method.momentum:g}" if method.rule != "sgd" else ""
        key += f" convolutions-{method.convolution_rate:g}" if method.convolution_rate != 1 else ""
        key += f" {method.precision}" if method.precision != "int8" else ""
        return key if method.quantization_aware_scaling else f"{key} unscaled"

    @property
    def test_module(self) -> Path:
        """The pytest module that asserts this suite."""
        return self.folder / f"test_{self.folder.name}.py"


def variant_name(method: str, variant: str) -> str:
    """The name of a method's variant."""
    return f"{method}, {variant}"


def method_variants(suite: Suite, method: Method, names: Sequence[str]) -> tuple[Method, ...]:
    """`method` and its variants of these names."""
    made = [_applied(method.model_dump(), suite.variants, name) for name in names]
    return (method, *(Method.model_validate(fields) for fields in made))


def _with_variants(data: dict[str, Any]) -> dict[str, Any]:
    """The fields of a suite file with its methods' variants made methods of their own."""
    methods: list[Any] = []
    for method in data.get("methods", ()):
        if not isinstance(method, dict):
            methods.append(method)
            continue
        fields = {key: value for key, value in method.items() if key != "variants"}
        named = method.get("variants", ())
        methods += [fields, *(_applied(fields, data.get("variants", {}), variant) for variant in named)]
    return {**data, "methods": methods} if methods else data


def _applied(fields: Mapping[str, Any], variants: Mapping[str, Any], named: Any) -> dict[str, Any]:
    """`named`: a variant's name, or a table with it and fields that replace the variant's."""
    changes = dict(named) if isinstance(named, Mapping) else {"name": named}
    own, name = str(fields.get("name", "")), str(changes.get("name", ""))
    scheme = fields.get("scheme") or own
    made = {**fields, "scheme": scheme, **_variant(variants, name), **changes}
    return {**made, "name": variant_name(own, name)}


def _variant(variants: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = variants.get(name)
    if not isinstance(found, Mapping):
        raise ValueError(f"no variant named {name!r}; there are: {', '.join(variants) or 'none'}")
    return found


@dataclass(frozen=True, order=True)
class Cell:
    """One entry of the suite's table."""

    target: str
    method: str
    seed: int

    def __str__(self) -> str:
        return f"{self.method} on {self.target}, seed {self.seed}"


def suite_names(root: Path = SUITES_ROOT) -> list[str]:
    """Names of all suites, sorted: the folder's name with hyphens."""
    return sorted(path.parent.name.replace("_", "-") for path in root.glob("*/suite.toml"))


def load_suite(name: str, root: Path = SUITES_ROOT) -> Suite:
    """Read `suites/NAME/suite.toml`; UsageError for an unknown name, SuiteError for a bad file."""
    if name not in suite_names(root):
        raise UsageError(f"no suite named {name!r}; there are: {', '.join(suite_names(root))}")
    path = root / name.replace("-", "_") / "suite.toml"
    return read_declaration(path, Suite, name, SuiteError)


def select_methods(
    suite: Suite,
    wanted: Sequence[str],
    learning_rate: float | None = None,
    undeclared_rate: float | None = None,
) -> tuple[Method, ...]:
    """The suite's default methods, or those named in `wanted`.

    `learning_rate` replaces the declared ones. A scheme that the suite does not declare has no tuned learning
    rate: it needs `learning_rate` or `undeclared_rate`.
    """
    declared = {method.name: method for method in suite.methods}
    chosen: list[Method] = []
    for name in dict.fromkeys(wanted or suite.default_methods or declared):
        method, rate = declared.get(name), learning_rate
        if method is None and rate is None:
            rate = undeclared_rate
            if rate is None:
                raise UsageError(
                    f"suite {suite.name} has no method named {name!r}; there are: {', '.join(declared)}"
                    " (another scheme needs --learning-rate)"
                )
        if method is None or rate is not None:
            fields = method.model_dump() if method else {"name": name}
            method = Method.model_validate({**fields, "learning_rate": rate})
        chosen.append(method)
    return tuple(chosen)


def make_cells(targets: Sequence[str], methods: Sequence[Method], seeds: Sequence[int]) -> tuple[Cell, ...]:
    """The product, duplicates removed, in the order given."""
    return tuple(
        Cell(target, method.name, seed)
        for target in dict.fromkeys(targets)
        for method in methods
        for seed in dict.fromkeys(seeds)
    )
