"""Suites that hold ours against the paper: a folder under `suites/` with a `paper.toml`.

A cell is a network, a method and, where accuracy is asked for, a dataset. Two protocols, of which a suite has
one or both:

    [cost]       the method's first training steps on emulators, for SRAM and ticks; no accuracy
    [accuracy]   learning rates chosen on a validation part, then held-out accuracy over seeds, on the host
    [reduced]    with --reduced: [accuracy] on a sample of each dataset, with fewer epochs
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fixtures.paper import networks, published_figures
from harness.declaration import Strict, read_declaration
from harness.errors import UsageError
from harness.suite import SUITES_ROOT, Method, SuiteError, suite_names

FILE_NAME = "paper.toml"
MEAN = "mean"
"""As a figure's dataset: the mean over datasets."""

Rates = Annotated[tuple[Annotated[float, Field(gt=0, lt=1e15)], ...], Field(min_length=1)]
Sample = Annotated[str, Field(pattern=r"^[1-9]\d*/[1-9]\d*/[1-9]\d*$")]


class PaperMethod(Method):
    """A method with the networks it is run on. In [accuracy] its learning rate is chosen from a grid."""

    title: str = ""
    """In words; empty: the name."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Of the steps of [cost]: small, so that none ends in a loss that is not finite."""
    networks: tuple[str, ...] = ()
    """Empty: all of the suite."""
    unable: str = ""
    """Why it cannot be run at all, one clause; empty: it can."""

    def plain(self) -> Method:
        """The method as any suite has it."""
        return Method.model_validate(self.model_dump(include=set(Method.model_fields)))


class Cost(Strict):
    """A few training steps on emulators, with pictures that stand for any."""

    targets: tuple[str, ...] = Field(min_length=1)
    dataset: str = "lfw"
    classes: int = Field(ge=2)
    steps: int = Field(default=30, ge=30)
    seed: int = Field(default=0, ge=0, lt=2**32)


class Column(Strict):
    """A dataset of the paper's. None: what [accuracy] says."""

    name: str = Field(pattern="^[a-z0-9-]+$")
    title: str
    epochs: int | None = Field(default=None, ge=1)
    warmup_epochs: int | None = Field(default=None, ge=0)


class Accuracy(Strict):
    """The paper's course, each method at its own learning rate."""

    datasets: tuple[Column, ...] = Field(min_length=1)
    epochs: int = Field(ge=1)
    warmup_epochs: int = Field(ge=0)
    learning_rates: Rates
    """Step sizes per update; of methods that have none of their own."""
    selection_seeds: int = Field(default=1, ge=1)
    seeds: int = Field(default=3, ge=1)
    """Of the final training: 0, 1, …"""


class Reduced(Strict):
    """What --reduced changes."""

    sample: Sample
    """Training / validation / test pictures of each dataset."""
    accumulate: int | None = Field(default=None, ge=1)
    """At most so many images per update; None: as the methods say. Fewer images make few updates."""
    epochs: int = Field(ge=1)
    warmup_epochs: int = Field(ge=0)
    seeds: int = Field(ge=1)


class Ratio(Strict):
    """A quotient of two published figures of one table, beside the quotient of ours.

    columns: `over` and `under` are columns, one quotient a row. rows: they are rows, of column `within`.
    """

    title: str
    table: str
    between: Literal["columns", "rows"]
    over: str
    under: str
    within: str = ""


class Order(Strict):
    """Methods of one column of the paper, ranked there and here."""

    title: str
    table: str
    of_mean: bool = False
    """The paper's column is its mean over datasets, whichever of them is ours."""
    names: dict[str, dict[str, str]] = Field(default_factory=dict)
    """By network other than the paper's own: its method's name for one of the paper's."""


class PaperSuite(Strict):
    """One suite. `folder` and `name` are filled in by the loader."""

    name: str
    title: str
    description: str
    folder: Path
    networks: tuple[str, ...] = Field(min_length=1)
    tables: tuple[str, ...] = Field(min_length=1)
    """Those of the paper, in the order of the report."""
    methods: tuple[PaperMethod, ...] = Field(min_length=1)
    cost: Cost | None = None
    accuracy: Accuracy | None = None
    reduced: Reduced | None = None
    ratios: tuple[Ratio, ...] = ()
    orders: tuple[Order, ...] = ()

    @model_validator(mode="after")
    def _names_are_known(self) -> PaperSuite:
        _check("network", self.networks, {network.name for network in networks()})
        _check("table of the paper", self.tables, {figure.table for figure in published_figures()})
        for method in self.methods:
            _check("network of this suite", method.networks, set(self.networks))
        names = [method.name for method in self.methods]
        if len(set(names)) != len(names):
            raise ValueError("two methods have the same name")
        compared = (*(entry.table for entry in self.ratios), *(entry.table for entry in self.orders))
        _check("table of this suite", compared, set(self.tables))
        if self.cost is None and self.accuracy is None:
            raise ValueError("neither [cost] nor [accuracy] says what is to be run")
        return self

    @property
    def dataset_names(self) -> tuple[str, ...]:
        return () if self.accuracy is None else tuple(column.name for column in self.accuracy.datasets)

    def methods_of(self, network: str) -> tuple[PaperMethod, ...]:
        return tuple(method for method in self.methods if not method.networks or network in method.networks)

    @property
    def test_module(self) -> Path:
        """The pytest module that asserts this suite."""
        return self.folder / f"test_{self.folder.name}.py"


def _check(what: str, wanted: tuple[str, ...], known: set[str]) -> None:
    for name in wanted:
        if name not in known:
            raise ValueError(f"no {what} named {name!r}; there are: {', '.join(sorted(known))}")


def paper_suite_names(root: Path = SUITES_ROOT) -> list[str]:
    """Names of the paper's suites, sorted: the folder's name with hyphens."""
    return sorted(path.parent.name.replace("_", "-") for path in root.glob(f"*/{FILE_NAME}"))


def load_paper_suite(name: str, root: Path = SUITES_ROOT) -> PaperSuite:
    """Read `suites/NAME/paper.toml`; UsageError for an unknown name, SuiteError for a bad file."""
    known = paper_suite_names(root)
    if name not in known:
        names = ", ".join(sorted([*suite_names(root), *known]))
        raise UsageError(f"no suite named {name!r}; there are: {names}")
    return read_declaration(root / name.replace("-", "_") / FILE_NAME, PaperSuite, name, SuiteError)
