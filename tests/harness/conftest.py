"""A run document with as little in it as there may be, and a network whose steps take next to no time."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.frontends.npz_file import write_npz
from harness.results.document import Accuracy, Provenance, RunDocument, SchemeSummary

MakeRun = Callable[..., RunDocument]


def make_accuracy(labels: tuple[int, ...], predicted: tuple[int, ...]) -> Accuracy:
    """Everything was class 0 before training, and is `predicted` after."""
    share = sum(a == b for a, b in zip(labels, predicted, strict=True)) / len(labels)
    return Accuracy(
        test_labels=labels,
        predicted_before=(0,) * len(labels),
        predicted_after=predicted,
        classes=("a", "b"),
        train_images=2,
        epochs=1,
        losses=(0.5,),
        curve=((0, labels.count(0) / len(labels)), (1, share)),
        computed_on="host",
    )


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """make_run(**fields) is a finished document of method m on host, seed 0, with `fields` replaced."""

    def make(**changes: object) -> RunDocument:
        texts = {name: "x" for name, field in Provenance.model_fields.items() if field.annotation is str}
        scheme = SchemeSummary(
            method="m",
            description="",
            updated_bias_layers=0,
            updated_weight_layers=(),
            trainable_values=0,
            rounding="nearest",
            learning_rate=0.1,
            extra_memory_analytic=0,
        )
        fields = {
            "suite": "s",
            "target": "host",
            "target_title": "t",
            "core": "c",
            "method": "m",
            "seed": 0,
            "status": "done",
            "provenance": Provenance.model_validate(
                {
                    **texts,
                    "duration_seconds": 1.0,
                    "compiler_flags": (),
                    "versions": {},
                    "git_revision": None,
                    "git_dirty": None,
                }
            ),
            "scheme": scheme,
            "notes": {"state_bytes": "12"},
        }
        return RunDocument.model_validate({**fields, **changes})

    return make


@pytest.fixture(scope="session")
def accuracy_of() -> Callable[[tuple[int, ...], tuple[int, ...]], Accuracy]:
    return make_accuracy


@pytest.fixture(scope="session")
def backbone_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of 16x16 pixels whose steps take a fraction of a millisecond."""
    source = Path(__file__).parents[1] / "engine" / "small_networks.py"
    spec = importlib.util.spec_from_file_location("small_networks_for_harness", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    path = tmp_path_factory.mktemp("backbone") / "small.npz"
    write_npz(module.small_backbone(), path)
    return path
