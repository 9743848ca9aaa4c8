"""What a search is asked for, checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.frontends.backbone import Backbone
from engine.schemes import Scheme
from engine.search.space import Space
from harness.search.setting import Setting

METHODS = ("evolution", "random", "freeze")
COSTS = ("analytic", "sram")
DEFAULT_EVALUATIONS = {"analytic": 10_000, "sram": 3000}
"""Planning a scheme takes a tenth of a second; the paper's rule takes nothing."""
DEFAULT_RATES = (2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3)


@dataclass(frozen=True)
class SearchRequest:
    """Everything that shapes the result. budget, threshold: in bytes and in the unit of the measure."""

    setting: Setting
    backbone: Backbone
    space: Space
    class_names: tuple[str, ...]
    dataset_name: str
    dataset_description: str
    method: str
    cost: str
    budget: int
    seed: int
    evaluations: int
    seeds: tuple[int, ...]
    """Of every trial."""
    rates: tuple[float, ...]
    measure: str
    threshold: float
    order: str
    """In which weights are frozen."""
    compare: tuple[Scheme, ...]
    target: str | None
    out: Path
    trials: Path
    """Where outcomes, plans and builds are kept."""
