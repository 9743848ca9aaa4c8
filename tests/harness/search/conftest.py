"""Outcomes of trials without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from harness.search.evaluation import Evaluation

MakeEvaluation = Callable[..., Evaluation]


@pytest.fixture(scope="session")
def make_evaluation() -> MakeEvaluation:
    """make_evaluation(margins, seed=…): images 0, 1, … of class 1, whose logits differ by `margins`."""

    def make(margins: Sequence[float] = (), **changes: object) -> Evaluation:
        fields = {
            "key": "0" * 64,
            "depth": 0,
            "weights": (),
            "learning_rate": 0.1,
            "seed": 0,
            "folds": 1,
            "epochs": 1,
            "status": "done" if len(margins) else "diverged",
            "images": tuple(range(len(margins))),
            "labels": (1,) * len(margins),
            "logits": tuple((0.0, float(margin)) for margin in np.asarray(margins)),
            "train_images": 10,
            "state_bytes": 8,
            "arena_bytes": 16,
            "extra_memory_analytic": 24,
            "plan_digest": "1" * 64,
            "seconds": 1.0,
        }
        return Evaluation.model_validate({**fields, **changes})

    return make
