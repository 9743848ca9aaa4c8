"""The outcome of `trainbench search`: what was asked for, every contribution, every scheme with its figures.

Sizes in bytes, scores and differences in the unit of `measure`; accuracies in 0..1. All accuracies are of the
validation part, or of the training and validation parts by cross-validation: the test part is not looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from harness.results.store import write_atomically

SEARCH_SCHEMA_VERSION = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Estimate(_Frozen):
    """A mean with its standard error."""

    value: float
    error: float


class Scored(_Frozen):
    """One scheme that was trained. Differences are to the classifier alone, paired by seed and image.

    None: some seed diverged.
    """

    label: str
    bias_last: int
    weights: tuple[tuple[int, float], ...]
    extra_memory_analytic: int
    state_bytes: int
    arena_bytes: int
    accuracy: float | None
    probability: float | None
    loss: float | None
    gain: Estimate | None
    """Of the measure."""
    accuracy_gain: Estimate | None


class Part(_Frozen):
    """A part of schemes and what it contributes: biases against the classifier, weights on top of biases.

    None: it diverged.
    """

    kind: Literal["bias", "weights"]
    trained: Scored
    contribution: Estimate | None
    accuracy_contribution: Estimate | None


class Candidate(_Frozen):
    """A scheme of the result. total: sum of contributions, None where a part of it was not measured."""

    name: str
    chosen: bool
    total: Estimate | None
    cost: int
    """What the budget limits."""
    planned_peak: int
    """state + arena + overhead."""
    measured_peak: int | None
    """On `target`, by painting."""
    trained: Scored


class Curve(_Frozen):
    """One search: (schemes asked about, best total so far), and (cost, total) of those within the budget."""

    progress: tuple[tuple[int, float], ...]
    within: tuple[tuple[int, float], ...]


class FreezeStep(_Frozen):
    label: str
    score: float | None
    kept: bool
    cost: int


class SearchDocument(_Frozen):
    schema_version: Literal[1] = 1
    method: Literal["evolution", "random", "freeze"]
    cost: Literal["analytic", "sram"]
    budget: int
    seed: int
    evaluations: int
    network: str
    model_digest: str
    dataset_name: str
    dataset_description: str
    dataset_digest: str
    rounding: str
    gradient: str
    convolutions: int
    """Of the network."""
    layers: tuple[int, ...]
    depths: tuple[int, ...]
    ratios: tuple[float, ...]
    measure: str
    epochs: int
    folds: int
    seeds: tuple[int, ...]
    learning_rate: float
    rate_scores: tuple[tuple[float, float | None], ...]
    held_out_images: int
    parts: tuple[Part, ...]
    candidates: tuple[Candidate, ...]
    upper_bound: float | None
    """No scheme of the space within the budget has a larger total; None: not known."""
    evolution: Curve | None
    random: Curve | None
    freezing: tuple[FreezeStep, ...]
    threshold: float | None
    overhead: int
    target: str
    """Where SRAM was measured; "": the overhead is assumed."""
    notes: tuple[str, ...]
    provenance: dict[str, str]

    @property
    def chosen(self) -> Candidate:
        return next(candidate for candidate in self.candidates if candidate.chosen)


def save_search(path: Path, document: SearchDocument) -> None:
    """Write `document` to `path`, replacing it."""
    write_atomically(path, document.model_dump_json(indent=1) + "\n")
