from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.datasets import load_dataset
from fixtures.datasets.dataset import Dataset, make_dataset
from harness.errors import LoadError, MeasurementError
from harness.run.assemble import Inputs
from harness.run.execute import check_built, load_samples, validation_fold


def dataset(count: int) -> Dataset:
    labels = np.arange(count, dtype=np.int64) % 2
    images = np.zeros((count, 4, 4, 3), dtype=np.uint8)
    return make_dataset("d", "", images, labels, ("a", "b"), [f"picture {n}" for n in range(count)])


@given(st.integers(40, 120), st.integers(2, 5))
def test_folds_partition_what_is_not_tested(count: int, folds: int) -> None:
    data = dataset(count)
    untested = sorted([*data.train.tolist(), *data.validation.tolist()])
    parts = [validation_fold(data, number, folds) for number in range(1, folds + 1)]
    assert sorted(position for _, validated in parts for position in validated) == untested
    for trained, validated in parts:
        assert sorted((*trained, *validated)) == untested
        assert abs(int(data.labels[list(validated)].sum()) - len(validated) / 2) <= 1


def test_too_few_pictures_of_a_class_are_said() -> None:
    with pytest.raises(MeasurementError, match="of class 'a' are not tested, too few for 10 folds"):
        validation_fold(dataset(40), 1, 10)


def inputs(specification: str, digest: str) -> Inputs:
    return Inputs(
        suite="s",
        backbone=Path("b.npz"),
        model_name="m",
        model_digest="",
        dataset=specification,
        dataset_name="lfw",
        dataset_description="",
        dataset_digest=digest,
        class_names=("no face", "face"),
        image_size=16,
        network=(1, 1),
    )


def test_a_cell_trains_on_the_dataset_that_the_run_began_with() -> None:
    digest = load_dataset("lfw", 16).digest
    samples = load_samples(inputs("lfw", digest), "final")
    assert (len(samples.train), len(samples.test)) == (140, 60)
    with pytest.raises(MeasurementError, match="dataset lfw was changed during the run"):
        load_samples(inputs("lfw", "0" * 64), "final")


def test_a_firmware_that_is_not_the_one_built_is_not_loaded(tmp_path: Path) -> None:
    elf = tmp_path / "firmware.elf"
    elf.write_bytes(b"built")
    built: Any = SimpleNamespace(elf=elf, digest=hashlib.sha256(b"built").hexdigest())
    check_built(built)
    elf.write_bytes(b"other")
    with pytest.raises(LoadError, match="was changed since it was built"):
        check_built(built)
    elf.unlink()
    with pytest.raises(LoadError, match="cannot be read"):
        check_built(built)
