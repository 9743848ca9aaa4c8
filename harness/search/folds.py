"""Which images a trial learns from, and which it is scored on: never the test part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fixtures.datasets import Dataset
from fixtures.datasets.dataset import shuffled
from harness.errors import MeasurementError, UsageError

Fold = tuple[tuple[int, ...], tuple[int, ...]]
"""Images to learn from, images to be scored on: positions in the dataset, ascending."""


def make_folds(dataset: Dataset, folds: int) -> tuple[Fold, ...]:
    """One fold: the training part, scored on the validation part. More: both together, cross-validated.

    Each class is dealt out to the folds evenly, in an order that depends on the images' names alone.
    UsageError where a class has fewer images than there are folds.
    """
    train, validation = (part.tolist() for part in (dataset.train, dataset.validation))
    if folds == 1:
        return _checked(dataset, (((*train,), (*validation,)),))
    learning = sorted([*train, *validation])
    place: dict[int, int] = {}
    for label, name in enumerate(dataset.class_names):
        members = [image for image in learning if dataset.labels[image] == label]
        if len(members) < folds:
            raise UsageError(
                f"dataset {dataset.name} has {len(members)} images of class {name!r} beside its test part:"
                f" too few for {folds} folds"
            )
        order = shuffled([dataset.ids[image] for image in members])
        place |= {members[position]: rank % folds for rank, position in enumerate(order)}
    return _checked(
        dataset,
        tuple(
            (
                tuple(image for image in learning if place[image] != number),
                tuple(image for image in learning if place[image] == number),
            )
            for number in range(folds)
        ),
    )


def _checked(dataset: Dataset, folds: Sequence[Fold]) -> tuple[Fold, ...]:
    """No test image anywhere, and none both learned from and scored on."""
    test = set(dataset.test.tolist())
    for train, scored in folds:
        if test & {*train, *scored} or {*train} & {*scored}:
            raise MeasurementError(
                f"the folds of dataset {dataset.name} overlap with its test part or each other"
            )
    return tuple(folds)


def labels_of(dataset: Dataset, images: Sequence[int]) -> tuple[int, ...]:
    """Labels of `images`, in their order."""
    return tuple(int(label) for label in dataset.labels[np.asarray(images, dtype=np.int64)])
