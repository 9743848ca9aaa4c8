from __future__ import annotations

import pytest

from engine.search.contributions import Contribution, Contributions, parts
from engine.search.space import CLASSIFIER, Choice, Space

SPACE = Space(6, (0, 2, 6), (0, 4), (0.5, 1.0))


def contributions() -> Contributions:
    return Contributions(
        SPACE,
        {2: Contribution(1.0, 0.3), 6: Contribution(2.0, 0.4)},
        {(4, 0.5): Contribution(0.25, 0.1), (0, 1.0): Contribution(-1.0, 0.2)},
    )


def test_total_is_the_sum_over_parts_and_errors_add_in_squares() -> None:
    table = contributions()
    choice = Choice(6, ((0, 1.0), (4, 0.5)))
    assert table.total(choice) == 1.25
    assert table.error(choice) == pytest.approx((0.4**2 + 0.1**2 + 0.2**2) ** 0.5)
    assert (table.total(CLASSIFIER), table.error(CLASSIFIER)) == (0.0, 0.0)


def test_what_was_not_measured_cannot_be_chosen() -> None:
    table = contributions()
    assert table.ratios(4) == (0.5,)
    assert Contributions(SPACE, {}, {}).depths() == (0,)


def test_every_part_is_trained_once_and_weights_on_top_of_their_biases() -> None:
    assert parts(SPACE) == (
        CLASSIFIER,
        Choice(2),
        Choice(6),
        Choice(6, ((0, 0.5),)),
        Choice(6, ((0, 1.0),)),
        Choice(2, ((4, 0.5),)),
        Choice(2, ((4, 1.0),)),
    )
