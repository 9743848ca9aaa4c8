"""Pictures for a profile: noise from a fixed seed, for where time and memory go, not for what is learnt."""

from __future__ import annotations

import hashlib

import numpy as np

from harness.run.cell import Samples

SEED = 0
NAME = "noise"


def noise_samples(count: int, size: int, classes: int) -> Samples:
    """`count` pictures of size x size pixels, uint8 and uniform; labels go round all classes."""
    generator = np.random.Generator(np.random.PCG64(SEED))
    return Samples(
        images=generator.integers(0, 256, (count, size, size, 3), dtype=np.uint8),
        labels=np.arange(count, dtype=np.int64) % classes,
        class_names=class_names(classes),
        train=tuple(range(count)),
        test=tuple(range(count)),
    )


def class_names(classes: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(classes))


def describe(samples: Samples) -> str:
    """One clause for the page and the terminal."""
    count, height, width, _ = samples.images.shape
    return f"{count} pictures of {height} x {width} pixels of uniform noise, seed {SEED}"


def digest(samples: Samples) -> str:
    """SHA-256 of pixels and labels."""
    return hashlib.sha256(samples.images.tobytes() + samples.labels.tobytes()).hexdigest()
