"""The outcome of a trial, and the folder where outcomes are kept: one file each, replaced atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from engine.search.space import Choice
from harness.results.store import write_atomically

FOLDER = "trials"
_LARGEST_FILE = 64 * 1024 * 1024


class Evaluation(BaseModel):
    """What came of training one scheme with one seed. Sizes in bytes; images are positions in the dataset.

    logits: of every held-out image, by the network that did not see it. diverged: no logits, and why.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    key: str
    depth: int
    weights: tuple[tuple[int, float], ...]
    learning_rate: float
    seed: int
    folds: int
    epochs: int
    status: Literal["done", "diverged"]
    reason: str = ""
    images: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    logits: tuple[tuple[float, ...], ...] = ()
    train_images: int
    """Of one fold, the mean rounded down."""
    state_bytes: int
    arena_bytes: int
    extra_memory_analytic: int
    plan_digest: str
    seconds: float

    @property
    def choice(self) -> Choice:
        return Choice(self.depth, self.weights)

    @model_validator(mode="after")
    def _is_whole(self) -> Evaluation:
        if not len(self.images) == len(self.labels) == len(self.logits):
            raise ValueError("images, labels and logits differ in number")
        if (self.status == "done") != bool(self.images):
            raise ValueError("a trial is done exactly when it has logits")
        if any(not 0 <= label < len(row) for label, row in zip(self.labels, self.logits, strict=True)):
            raise ValueError("a label has no logit")
        return self


def save_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Keep it under its key."""
    write_atomically(_path(folder, evaluation.key), evaluation.model_dump_json() + "\n")


def find_evaluation(folder: Path, key: str) -> Evaluation | None:
    """The outcome kept under `key`; None where there is none, or a file that is broken: it is made again."""
    path = _path(folder, key)
    try:
        if path.stat().st_size > _LARGEST_FILE:
            return None
        found = Evaluation.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError):
        return None
    return found if found.key == key else None


def _path(folder: Path, key: str) -> Path:
    return folder / FOLDER / f"{key}.json"
