from __future__ import annotations

import numpy as np
import pytest

from fixtures.datasets import Dataset
from fixtures.datasets.dataset import make_dataset
from harness.errors import UsageError
from harness.search.folds import labels_of, make_folds


def dataset(count: int = 40) -> Dataset:
    labels = (np.arange(count) % 4 == 0).astype(np.int64)
    images = np.zeros((count, 4, 4, 3), np.uint8)
    return make_dataset("toy", "", images, labels, ("no", "yes"), [f"picture {n}" for n in range(count)])


def test_one_fold_is_the_datasets_own_split() -> None:
    data = dataset()
    ((train, scored),) = make_folds(data, 1)
    assert train == tuple(data.train)
    assert scored == tuple(data.validation)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_folds_score_every_image_beside_the_test_part_once(count: int) -> None:
    data = dataset()
    folds = make_folds(data, count)
    scored = [image for _, part in folds for image in part]
    learning = {*data.train.tolist(), *data.validation.tolist()}
    assert sorted(scored) == sorted(learning)
    assert not set(scored) & set(data.test.tolist())
    for train, part in folds:
        assert {*train} | {*part} == learning
        assert not {*train} & {*part}
        assert abs(sum(labels_of(data, part)) - sum(data.labels[list(learning)]) / count) < 1


def test_too_many_folds() -> None:
    with pytest.raises(UsageError, match=r"class 'yes'.*too few for 9 folds"):
        make_folds(dataset(), 9)
