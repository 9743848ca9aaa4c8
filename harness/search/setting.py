"""What all trials of a search share, what one trial is, and the key under which its outcome is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from engine.compiler import CompileOptions
from engine.search.space import Choice
from harness.measure.accuracy import Course
from harness.provenance import inputs_digest, source_digest

SOURCES = ("engine", "fixtures/datasets", "harness/agent", "harness/measure", "targets/host")
"""What a trial's outcome comes from. The commands and reports around it do not shape it."""

PROTOCOL = 1
"""Counts changes of how a trial is made from its setting (`harness/search/trial.py`, `folds.py`)."""

TARGET = "host"


@dataclass(frozen=True)
class Setting:
    """Network, data, options and course of every trial. Digests are hexadecimal SHA-256."""

    backbone: Path
    model_digest: str
    dataset: str
    """Specification, as `load_dataset` takes it, with an absolute path."""
    dataset_digest: str
    image_size: int
    options: CompileOptions
    epochs: int
    """After one of warm-up."""
    folds: int
    """1: train on the training part, test on the validation part. More: cross-validate over both together."""
    step_seconds: float

    def course(self, learning_rate: float) -> Course:
        """How a trial is trained: as methods of a suite are."""
        return Course(learning_rate, epochs=self.epochs, warmup_epochs=1, schedule="cosine", flips=True)


@dataclass(frozen=True)
class Trial:
    """One scheme, trained once from the start in every fold. learning_rate: per image."""

    choice: Choice
    learning_rate: float
    seed: int


def key(setting: Setting, trial: Trial) -> str:
    """SHA-256 of everything that determines the outcome: two equal keys, one outcome.

    The compiler of the host is not among it: the trainer computes the same bits with each.
    """
    return inputs_digest(
        {
            "protocol": PROTOCOL,
            "sources": source_digest(folders=SOURCES),
            "model": setting.model_digest,
            "dataset": setting.dataset_digest,
            "options": asdict(setting.options),
            "course": asdict(setting.course(trial.learning_rate)),
            "folds": setting.folds,
            "choice": asdict(trial.choice),
            "seed": trial.seed,
        }
    )
