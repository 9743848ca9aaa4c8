"""How well a trained network does on images it did not see, and differences between schemes, with errors.

Accuracy moves in steps of one image, so a hundred images tell schemes apart only where they differ by several
points. The probability given to the true class is the same figure before it is rounded to right or wrong: its
differences are in points of accuracy too, with a smaller error. Cross-entropy is what is trained, but a few
images that are wrong with certainty carry most of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.search.contributions import Contribution
from harness.search.evaluation import Evaluation

MEASURES = ("probability", "accuracy", "loss")
DEFAULT_MEASURE = "probability"

Scores = NDArray[np.float64]


def image_scores(evaluation: Evaluation, measure: str) -> Scores:
    """Score of each held-out image, more is better, in ascending order of the images. float64 [images].

    accuracy: 1 where the true class has the largest logit. probability: softmax of the true class. loss:
    minus the cross-entropy.
    """
    logits = np.asarray(evaluation.logits, dtype=np.float64)
    labels = np.asarray(evaluation.labels)
    order = np.argsort(np.asarray(evaluation.images), kind="stable")
    if measure == "accuracy":
        scores = (logits.argmax(axis=1) == labels).astype(np.float64)
    else:
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_probability = shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(axis=1))
        scores = np.exp(log_probability) if measure == "probability" else log_probability
    ordered: Scores = scores[order]
    return ordered


def mean_score(evaluations: Sequence[Evaluation], measure: str) -> float | None:
    """Mean over seeds and images; None where one of them diverged."""
    if any(evaluation.status != "done" for evaluation in evaluations):
        return None
    return float(np.mean([image_scores(evaluation, measure).mean() for evaluation in evaluations]))


def difference(
    first: Sequence[Evaluation], second: Sequence[Evaluation], measure: str
) -> Contribution | None:
    """Mean of first - second, paired by seed and image, with its standard error; None where one diverged.

    The error adds the variance over images (of means over seeds) and, from two seeds on, that over seeds (of
    means over images). With one seed it says nothing about how training varies from seed to seed.
    """
    if any(evaluation.status != "done" for evaluation in (*first, *second)):
        return None
    one, other = (_matrix(evaluations, measure) for evaluations in (first, second))
    paired = one - other
    variance = _variance_of_mean(paired.mean(axis=0)) + _variance_of_mean(paired.mean(axis=1))
    return Contribution(float(paired.mean()), float(np.sqrt(variance)))


def _matrix(evaluations: Sequence[Evaluation], measure: str) -> Scores:
    """float64 [seeds, images], seeds ascending."""
    ordered = sorted(evaluations, key=lambda evaluation: evaluation.seed)
    return np.stack([image_scores(evaluation, measure) for evaluation in ordered])


def _variance_of_mean(values: Scores) -> float:
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0
