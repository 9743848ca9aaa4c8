from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.search.freeze import everything, freeze_greedily, freeze_in_order, next_choices
from engine.search.space import CLASSIFIER, Choice, Space

SPACE = Space(6, (0, 2, 4, 6), (0, 2, 4), (0.5, 1.0))
WORTH = {0: 0.5, 2: 0.1, 4: 0.2}
DEPTH_WORTH = {0: 0.0, 2: 0.6, 4: 0.65, 6: 0.66}


class Scoring:
    """Additive scores; counts what it is asked."""

    def __init__(self, diverging: int | None = None) -> None:
        self.asked: list[Choice] = []
        self.diverging = diverging

    def __call__(self, choices: Sequence[Choice]) -> list[float | None]:
        self.asked += choices
        return [self.one(choice) for choice in choices]

    def one(self, choice: Choice) -> float | None:
        if self.diverging is not None and self.diverging not in dict(choice.weights):
            return None
        return DEPTH_WORTH[choice.depth] + sum(WORTH[layer] for layer, _ in choice.weights)


START = everything(SPACE)
FULL = 0.66 + 0.8


def test_everything_is_all_weights_at_the_largest_ratio() -> None:
    assert Choice(6, ((0, 1.0), (2, 1.0), (4, 1.0))) == START


def test_it_stops_at_the_first_dip() -> None:
    frozen = freeze_in_order(SPACE, (2, 4, 0), Scoring(), FULL, threshold=0.15)
    assert frozen.choice == Choice(6, ((0, 1.0), (4, 1.0)))
    assert [step.kept for step in frozen.steps] == [True, False]
    assert frozen.score == pytest.approx(FULL - 0.1)


def test_biases_follow_the_weights_from_the_front() -> None:
    frozen = freeze_in_order(SPACE, (2, 4, 0), Scoring(), FULL, threshold=0.9)
    assert frozen.choice == Choice(2)
    assert frozen.steps[-1].choice == CLASSIFIER
    assert not frozen.steps[-1].kept


def test_with_a_wide_threshold_nothing_is_left() -> None:
    assert freeze_in_order(SPACE, (0, 2, 4), Scoring(), FULL, threshold=2.0).choice == CLASSIFIER


def test_greedy_takes_whatever_costs_least() -> None:
    scoring = Scoring()
    frozen = freeze_greedily(SPACE, scoring, FULL, threshold=0.35)
    assert [step.choice for step in frozen.steps if step.kept] == [
        Choice(6, ((0, 1.0), (4, 1.0))),
        Choice(6, ((0, 1.0),)),
    ]
    assert frozen.choice == Choice(6, ((0, 1.0),))
    assert len(scoring.asked) == 3 + 2 + 1


def test_one_that_diverges_is_a_dip() -> None:
    assert freeze_in_order(SPACE, (2, 4, 0), Scoring(diverging=2), FULL, threshold=9.0).choice == START
    greedy = freeze_greedily(SPACE, Scoring(diverging=2), FULL, threshold=9.0)
    assert greedy.choice == Choice(6, ((2, 1.0),))


def test_nothing_is_left_to_freeze() -> None:
    assert next_choices(CLASSIFIER, SPACE) == ()
    assert next_choices(Choice(4), SPACE) == (Choice(2),)
