from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from harness.search.evaluation import Evaluation
from harness.search.scores import difference, image_scores, mean_score

Make = Callable[..., Evaluation]


def test_the_three_measures_of_one_image(make_evaluation: Make) -> None:
    run = make_evaluation([2.0, -1.0])
    probability = 1 / (1 + np.exp([-2.0, 1.0]))
    assert image_scores(run, "accuracy").tolist() == [1.0, 0.0]
    assert image_scores(run, "probability") == pytest.approx(probability)
    assert image_scores(run, "loss") == pytest.approx(np.log(probability))


def test_images_are_put_in_order_before_they_are_paired(make_evaluation: Make) -> None:
    run = make_evaluation([2.0, -1.0], images=(7, 3))
    assert image_scores(run, "accuracy").tolist() == [0.0, 1.0]


def test_large_logits_are_no_trouble(make_evaluation: Make) -> None:
    run = make_evaluation([2000.0, -2000.0])
    assert image_scores(run, "loss").tolist() == [0.0, -2000.0]
    assert image_scores(run, "probability").tolist() == [1.0, 0.0]


def test_a_difference_is_paired(make_evaluation: Make) -> None:
    hard = np.random.default_rng(0).normal(0, 3, 200)
    first = [make_evaluation(hard + 0.4, seed=seed) for seed in (0, 1)]
    second = [make_evaluation(hard, seed=seed) for seed in (0, 1)]
    gain = difference(first, second, "probability")
    assert gain is not None
    assert gain.value > 8 * gain.error > 0
    alone = [image_scores(run, "probability").std() / 200**0.5 for run in (first[0], second[0])]
    assert gain.error < 0.2 * float(np.hypot(*alone))
    nothing = difference(first, first, "probability")
    assert nothing is not None
    assert (nothing.value, nothing.error) == (0.0, 0.0)


def test_seeds_that_disagree_widen_the_error(make_evaluation: Make) -> None:
    zero = [make_evaluation(np.zeros(50), seed=seed) for seed in (0, 1)]
    apart = [make_evaluation(np.full(50, value), seed=seed) for seed, value in ((0, 1.0), (1, -1.0))]
    gain = difference(apart, zero, "loss")
    assert gain is not None
    values = np.log(1 / (1 + np.exp([-1.0, 1.0])))
    assert gain.error == pytest.approx(values.std(ddof=1) / 2**0.5)


def test_seeds_are_paired_by_their_number(make_evaluation: Make) -> None:
    one = [make_evaluation([1.0], seed=0), make_evaluation([2.0], seed=1)]
    gain = difference(one, one[::-1], "loss")
    assert gain is not None
    assert gain.value == gain.error == 0.0


def test_what_diverged_has_no_score(make_evaluation: Make) -> None:
    done, diverged = make_evaluation([1.0]), make_evaluation(reason="the loss is nan")
    assert mean_score([done, diverged], "accuracy") is None
    assert difference([done], [diverged], "accuracy") is None


def test_the_error_is_what_it_says(make_evaluation: Make) -> None:
    """Over many repetitions, the error estimates how much the difference varies."""
    generator = np.random.default_rng(1)
    found = []
    for _ in range(300):
        hard = generator.normal(0, 1, 100)
        noise = [hard + generator.normal(0, 0.5, 100) + generator.normal(0, 0.1) for _ in range(4)]
        first = [make_evaluation(noise[seed], seed=seed) for seed in (0, 1)]
        second = [make_evaluation(noise[2 + seed], seed=seed) for seed in (0, 1)]
        found.append(difference(first, second, "probability"))
    values = [gain.value for gain in found if gain is not None]
    errors = [gain.error for gain in found if gain is not None]
    assert np.mean(np.square(errors)) ** 0.5 == pytest.approx(np.std(values), rel=0.35)
