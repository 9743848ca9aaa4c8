"""The plan of a nightly, a TOML file; docs/nightly.md describes it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from harness.declaration import Strict
from harness.errors import UsageError
from harness.farm.hold import WAIT_SECONDS
from harness.run.request import Overrides

PREVIOUS = "previous"
DEFAULT_OUT = Path("runs") / "nightly"


class Entry(Strict):
    """One suite of a plan. What is not said is the suite's. Paths are relative to the plan's folder."""

    suite: str
    name: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    """Of its results folder; empty: the suite's name."""
    targets: tuple[str, ...] = Field(min_length=1)
    """Targets of this machine, and farm:TAG."""
    methods: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    backbone: Path | None = None
    dataset: str | None = None
    rounding: Literal["nearest", "stochastic", "extended"] | None = None
    gradient: str | None = None
    learning_rate: float | None = None
    epochs: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=None, ge=30)
    classes: int | None = Field(default=None, ge=2)
    step_seconds: float | None = Field(default=None, gt=0)

    @property
    def folder(self) -> str:
        return self.name or self.suite


class Plan(Strict):
    """What a nightly runs."""

    title: str
    out: Path | None = None
    """Folder of all nightlies, one folder a commit below it; None: runs/nightly here."""
    base: str = ""
    """What to compare with: a folder, or `previous`, the last good nightly below `out`; empty: nothing."""
    coordinator: str | None = None
    """Of the farm; None: $LG_COORDINATOR."""
    retries: int = Field(default=2, ge=0)
    """How often a cell is begun again after a transport error."""
    jobs: int | None = Field(default=None, ge=1)
    """Jobs at a time on this machine, builds among them; None: one a processor core."""
    place_wait_seconds: float = Field(default=WAIT_SECONDS, gt=0)
    """How long a cell waits for a place of the farm."""
    suites: tuple[Entry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Plan:
        folders = [entry.folder for entry in self.suites]
        for folder in folders:
            if folders.count(folder) > 1:
                raise ValueError(f"two suites are named {folder!r}; give one of them another `name`")
        return self


def load_plan(path: Path) -> Plan:
    """Read a plan, paths made absolute; UsageError says what is wrong with it."""
    try:
        plan = Plan.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"the plan {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the plan {path} is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"the plan {path}: {f'{where}: ' if where else ''}{first['msg']}") from error
    folder = path.absolute().parent
    suites = tuple(
        entry if entry.backbone is None else entry.model_copy(update={"backbone": folder / entry.backbone})
        for entry in plan.suites
    )
    out = None if plan.out is None else folder / plan.out
    base = plan.base if plan.base in ("", PREVIOUS) else str(folder / plan.base)
    return plan.model_copy(update={"suites": suites, "out": out, "base": base})


def overrides(plan: Plan, entry: Entry, out: Path) -> Overrides:
    """What `trainbench run` would be told for this entry."""
    return Overrides(
        targets=entry.targets,
        methods=entry.methods,
        seeds=entry.seeds,
        backbone=entry.backbone,
        dataset=entry.dataset,
        out=out,
        rounding=entry.rounding,
        gradient=entry.gradient,
        learning_rate=entry.learning_rate,
        epochs=entry.epochs,
        steps=entry.steps,
        classes=entry.classes,
        step_seconds=entry.step_seconds,
        parallel=plan.jobs,
        retries=plan.retries,
        coordinator=plan.coordinator,
        farm_wait=plan.place_wait_seconds,
    )
