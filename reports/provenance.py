"""Where the figures come from: what all runs share once, what differs by target, and the rest by run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.results.document import ForeignTrainer, RunDocument, SchemeSummary

Fields = dict[str, str]

GRADIENTS = {"f32": "f32 (float32)", "i16": "i16 (int16 with a shared exponent)"}
"""What the formats are, in words."""


@dataclass(frozen=True)
class Table:
    """Headings and rows of text; the first column names the row."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Origins:
    shared: Table
    by_target: Table | None
    by_run: Table


def origins(runs: Sequence[RunDocument]) -> Origins:
    """Every provenance field of every run exactly once, at the widest scope at which it is the same."""
    fields = [_fields(run) for run in runs]
    names = list(dict.fromkeys(name for one in fields for name in one))
    shared = [name for name in names if _constant(fields, name)]
    targets = list(dict.fromkeys(run.target for run in runs))
    of_target = {
        target: [one for run, one in zip(runs, fields, strict=True) if run.target == target]
        for target in targets
    }
    by_target = [
        name
        for name in names
        if name not in shared and all(_constant(part, name) for part in of_target.values())
    ]
    rest = [name for name in names if name not in shared and name not in by_target]
    return Origins(
        Table(("What", "All runs"), tuple((name, _value(fields[0], name)) for name in shared)),
        Table(
            ("What", *targets),
            tuple((name, *(_value(of_target[target][0], name) for target in targets)) for name in by_target),
        )
        if by_target
        else None,
        Table(
            ("Run", "Status", *rest),
            tuple(
                (
                    f"{run.method} on {run.target}, seed {run.seed}",
                    run.status,
                    *(_value(one, name) for name in rest),
                )
                for run, one in zip(runs, fields, strict=True)
            ),
        ),
    )


def _constant(fields: Sequence[Fields], name: str) -> bool:
    return len({_value(one, name) for one in fields}) == 1


def _value(fields: Fields, name: str) -> str:
    return fields.get(name) or "not given"


def _fields(run: RunDocument) -> Fields:
    origin, scheme = run.provenance, run.scheme
    dirty = {True: "yes: figures are of no revision", False: "no", None: "unknown"}[origin.git_dirty]
    return {
        "trainbench": origin.trainbench_version,
        "Source revision": origin.git_revision or "unknown",
        "Working tree changed": dirty,
        "Network": origin.model_name,
        "Network SHA-256": origin.model_digest,
        "Dataset": origin.dataset_name,
        "Dataset description": origin.dataset_description,
        "Dataset index SHA-256": origin.dataset_digest,
        "Classes": ", ".join(run.accuracy.classes) if run.accuracy else "",
        "Training images": str(run.accuracy.train_images) if run.accuracy else "",
        "Test images": str(len(run.accuracy.test_labels)) if run.accuracy else "",
        "Epochs": str(run.accuracy.epochs) if run.accuracy else "",
        "Accuracy computed on": run.accuracy.computed_on if run.accuracy else "",
        "Picture size, pixels": f"{origin.image_size} x {origin.image_size}" if origin.image_size else "",
        "Learning rate per image": f"{scheme.learning_rate:g}",
        **(_compiled_fields(scheme) if run.foreign is None else _foreign_fields(run.foreign)),
        "Host": origin.host,
        "Python": origin.python,
        "Toolchain": origin.toolchain,
        "Compiler flags": " ".join(origin.compiler_flags),
        **{f"Version of {name}": version for name, version in sorted(origin.versions.items())},
        "Started (UTC)": origin.started_at,
        "Duration, seconds": f"{origin.duration_seconds:.1f}",
        "Plan SHA-256": origin.plan_digest,
        "ELF SHA-256": origin.elf_digest,
        **{f"Note: {name}": text for name, text in sorted(run.notes.items())},
    }


def _compiled_fields(scheme: SchemeSummary) -> Fields:
    return {
        "Weight rounding": scheme.rounding,
        "Gradients": GRADIENTS[scheme.gradient],
        "Images per weight update": str(scheme.accumulate),
        "Network's precision": scheme.precision,
        "Quantization-aware scaling": "on" if scheme.quantization_aware_scaling else "off",
        "Update rule": scheme.rule,
        "Momentum": f"{scheme.momentum:g}" if scheme.rule in ("momentum", "lars") else "",
        "Learning rate of convolutions": f"{scheme.convolution_rate:g} times that of the classifier",
    }


def _foreign_fields(foreign: ForeignTrainer) -> Fields:
    """In its own words: nothing of it was compiled here."""
    return {
        "Trainer's own name of its scheme": foreign.scheme,
        "Trainer's input": f"{foreign.input_size} x {foreign.input_size} x {foreign.input_channels}",
        "Trainer's classes": str(foreign.classes),
    }
