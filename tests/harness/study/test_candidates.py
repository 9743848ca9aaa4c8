from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import HarnessError
from harness.results.document import Accuracy, RunDocument
from harness.study.candidates import (
    Rates,
    Score,
    best_score,
    candidate,
    edge_warnings,
    failure_warnings,
    first_candidates,
    scores,
    second_candidates,
)
from harness.suite import Method

MakeRun = Callable[..., RunDocument]
MakeAccuracy = Callable[[tuple[int, ...], tuple[int, ...]], Accuracy]
LABELS = (0, 1, 0, 1)
GUESSES = {0: (1, 0, 1, 0), 1: (0, 0, 1, 0), 2: (0, 1, 1, 0), 3: (0, 1, 0, 0), 4: LABELS}
ONE = Method(name="sparse", learning_rate=1.0, learning_rates=(0.1, 0.2, 0.4))
TWO = Method(name="sparse", learning_rate=0.2, learning_rates=(0.1, 0.2, 0.4), convolution_rates=(10, 100))


def runs(
    make_run: MakeRun, accuracy_of: MakeAccuracy, method: Method, right: dict[Rates, tuple[int, ...]]
) -> list[RunDocument]:
    """Documents of the selection: by rates, how many of four images were right with each seed."""
    return [
        make_run(
            method=candidate(method, rates).name, seed=seed, accuracy=accuracy_of(LABELS, GUESSES[count])
        )
        for rates, counts in right.items()
        for seed, count in enumerate(counts)
    ]


def test_the_best_mean_accuracy_wins_and_the_smaller_rate_of_equals(
    make_run: MakeRun, accuracy_of: MakeAccuracy
) -> None:
    tried = first_candidates(ONE)
    right = dict(zip(tried, [(4, 2), (3, 3), (1, 1)], strict=True))
    found = scores(ONE, tried, runs(make_run, accuracy_of, ONE, right))
    assert [(score.accuracy, score.images) for score in found] == [(0.75, 8), (0.75, 8), (0.25, 8)]
    assert best_score(ONE, found).rates == Rates(0.1, 1.0)


def test_rates_with_a_training_that_failed_are_out_and_said(
    make_run: MakeRun, accuracy_of: MakeAccuracy
) -> None:
    tried = first_candidates(ONE)[:2]
    selected = runs(make_run, accuracy_of, ONE, {tried[0]: (2, 2), tried[1]: (4,)})
    bad = make_run(method=selected[-1].method, seed=1, status="failed", reason="training diverged")
    found = scores(ONE, tried, [*selected, bad])
    assert best_score(ONE, found).rates == tried[0]
    assert failure_warnings((ONE,), {"sparse": found}) == ["sparse lr=0.2 is out: training diverged"]
    with pytest.raises(HarnessError, match="sparse trained at no learning rate of the grid: training div"):
        best_score(ONE, found[1:])


def test_one_axis_is_searched_after_the_other() -> None:
    first = first_candidates(TWO)
    assert first == (Rates(0.2, 10), Rates(0.2, 100))
    second = second_candidates(TWO, [Score(first[0], 0.5, 4), Score(first[1], 0.75, 4)])
    assert second == (Rates(0.1, 100), Rates(0.4, 100))
    assert second_candidates(ONE, [Score(rates, 0.5, 4) for rates in first_candidates(ONE)]) == ()


def test_the_search_starts_in_the_middle_where_the_method_declares_no_rate_of_the_grid() -> None:
    method = Method.model_validate({**TWO.model_dump(), "learning_rate": 7.0})
    assert {rates.learning for rates in first_candidates(method)} == {0.2}


@given(
    st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=6, unique=True).map(tuple),
    st.lists(st.floats(1e-6, 1e9), min_size=1, max_size=6, unique=True).map(tuple),
    st.data(),
)
def test_both_axes_are_covered_once(
    rates: tuple[float, ...], factors: tuple[float, ...], data: st.DataObject
) -> None:
    method = Method(name="m", learning_rate=rates[0], learning_rates=rates, convolution_rates=factors)
    first = first_candidates(method)
    found = [Score(one, data.draw(st.floats(0, 1)), 1) for one in first]
    tried = [*first, *second_candidates(method, found)]
    assert len(tried) == len(set(tried)) == len(factors) + len(rates) - 1
    assert {one.learning for one in tried} == set(rates)
    assert {one.convolution for one in tried} == set(factors)


def test_a_choice_at_an_end_of_its_grid_is_said() -> None:
    assert edge_warnings((ONE,), {"sparse": Rates(0.2, 1.0)}) == []
    (warning,) = edge_warnings((ONE,), {"sparse": Rates(0.4, 1.0)})
    assert "sparse: the chosen learning rate 0.4 is the largest" in warning
    (warning,) = edge_warnings((TWO,), {"sparse": Rates(0.2, 10)})
    assert "sparse: the chosen factor of convolutions 10 is the smallest" in warning


def test_a_grid_of_one_has_no_ends() -> None:
    method = Method(name="m", learning_rate=1.0, learning_rates=(0.1,))
    assert edge_warnings((method,), {"m": Rates(0.1, 1.0)}) == []
