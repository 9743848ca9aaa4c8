"""The pictures of a profile: the same ones every time, and labels that the classifier has."""

from __future__ import annotations

import numpy as np

from harness.profile.pictures import describe, digest, noise_samples


def test_the_same_request_gives_the_same_pictures() -> None:
    first, second = noise_samples(3, 16, 2), noise_samples(3, 16, 2)
    assert np.array_equal(first.images, second.images)
    assert digest(first) == digest(second)
    assert digest(noise_samples(3, 16, 3)) != digest(first)


def test_every_label_is_a_class() -> None:
    samples = noise_samples(5, 8, 3)
    assert samples.images.shape == (5, 8, 8, 3)
    assert samples.labels.tolist() == [0, 1, 2, 0, 1]
    assert len(samples.class_names) == 3
    assert "5 pictures of 8 x 8 pixels" in describe(samples)
