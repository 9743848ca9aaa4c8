"""The result of an accuracy study: what was chosen on validation data, what was tested, what it costs.

`trainbench accuracy` writes one as `study.json`; its table and its page are rendered from it alone.
Accuracies are fractions (0..1), sizes bytes, learning rates per image.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from harness.errors import ResultsError
from harness.results.document import Document, Kind, Provenance, Sram
from harness.results.statistics import Difference, Interval
from harness.results.store import MAXIMUM_BYTES, write_atomically

STUDY_FILE = "study.json"
SCHEMA_VERSION = 1


class Candidate(Document):
    """One pair of rates that was tried for one method."""

    fold: int
    """Of the test parts, from 1: its test images had no part in it."""
    learning_rate: float
    convolution_rate: float
    accuracy: float | None
    """On the validation images; None where a training failed."""
    images: int
    """Validation images by selection seeds."""
    reason: str = ""
    """Why there is no accuracy."""
    chosen: bool = False


class Reference(Document):
    """The variant that differs in one option alone, and that option's values: `changed` minus `from_`."""

    variant: str
    changed: str
    from_: str


class Against(Document):
    """Accuracy after training minus that of another method, paired by seed and image."""

    method: str
    difference: Difference


class Ticks(Document):
    """Median and range of raw ticks."""

    unit: str
    kind: Kind
    median: float
    low: int
    high: int


class Measured(Document):
    """What a method's firmware needs on the target the study measures on."""

    target: str
    sram: Sram
    step_ticks: Ticks
    predict_ticks: Ticks
    equal_steps: int
    """After so many steps its state was the one of the target that computed the accuracies."""


class StudyRow(Document):
    """One method."""

    method: str
    scheme: str
    description: str = ""
    rounding: str
    gradient: str
    quantization_aware_scaling: bool
    rule: str
    momentum: float
    accumulate: int
    precision: str
    learning_rates: tuple[float, ...]
    """The chosen one of each fold."""
    convolution_rates: tuple[float, ...]
    """Learning rate of convolutions over that of the classifier, the chosen one of each fold."""
    rates_are_searched: tuple[bool, bool]
    """Whether there was a choice: of the learning rate, of the convolutions' factor."""
    validation_accuracy: float
    """At the chosen rates, mean over folds."""
    before: Interval | None
    """None: no accuracy, `reason` says why."""
    after: Interval | None
    seed_accuracies: tuple[float, ...]
    """After training, one a seed."""
    reason: str = ""
    computed_on: str
    """Target whose firmware did the training."""
    against_baseline: Difference | None
    """Accuracy after training minus the baseline's, paired by seed and image; None for the baseline."""
    reference: Reference | None
    """What it is held against to see one option alone; None where it is the first variant of its method."""
    against_reference: Difference | None
    against: tuple[Against, ...] = ()
    """Held against the methods of `StudyDocument.against`."""
    state_bytes: int
    arena_bytes: int
    extra_memory_analytic: int
    """The paper's rule; for a float32 network with 32 bits in place of 8."""
    measured: Measured | None = None
    measured_reason: str = ""
    """Why there is no such figure, where a target was asked for one."""
    candidates: tuple[Candidate, ...] = ()


class Protocol(Document):
    """How rates were chosen and methods tested."""

    folds: int
    """Test parts; each has its own choice. 1: the dataset's own test part."""
    selection_folds: int
    """Folds of what is not tested, each of which validates once; 1: the dataset's own validation part."""
    selection_seeds: int
    seeds: int
    epochs: int
    warmup_epochs: int
    schedule: str
    flips: bool
    train_images: int
    """Of a final training, of the first fold."""
    test_images: int
    """Of all folds."""


class StudyDocument(Document):
    schema_version: Literal[1] = 1
    suite: str
    title: str
    baseline: str
    against: tuple[str, ...] = ()
    """Methods that all others are held against, beside the baseline."""
    protocol: Protocol
    measured_on: str = ""
    """Name of the target of `StudyRow.measured`; empty: none was asked for."""
    rows: tuple[StudyRow, ...]
    warnings: tuple[str, ...]
    provenance: Provenance
    """Of the first final training."""
    measured_provenance: Provenance | None = None


def save_study(folder: Path, study: StudyDocument) -> Path:
    """Write `study` to `folder`/study.json, replacing an older one; its path."""
    path = folder / STUDY_FILE
    write_atomically(path, study.model_dump_json(indent=1) + "\n")
    return path


def load_study(folder: Path) -> StudyDocument:
    """Read `folder`/study.json; ResultsError names what is wrong with it."""
    path = folder / STUDY_FILE
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise ResultsError(f"{path} is {path.stat().st_size} bytes long, too long for a study")
        text = path.read_text(encoding="utf-8")
        version = json.loads(text).get("schema_version")
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError, AttributeError) as error:
        raise ResultsError(f"{path} is no study ({error}); run `trainbench accuracy` again") from error
    if version != SCHEMA_VERSION:
        raise ResultsError(
            f"{path} has schema version {version!r}, this trainbench reads version {SCHEMA_VERSION};"
            " run `trainbench accuracy` again into a new folder"
        )
    try:
        return StudyDocument.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultsError(f"{path} is not a valid study: {where}: {first['msg']}") from error
