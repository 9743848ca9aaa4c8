"""Rankings of synthetic cells whose answer is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures.paper import published_figures
from harness.paper.figures import OwnCell
from harness.paper.orders import orders, rank_correlation
from harness.paper.suite import load_paper_suite
from harness.results.document import Accuracy, RunDocument
from harness.results.paper import Own

SUITE = load_paper_suite("paper-qas")
PUBLISHED = [figure for figure in published_figures() if figure.table in SUITE.tables]
IMAGES = 400


@pytest.fixture
def trained(
    own_cell: Callable[..., OwnCell],
    own_figure: Callable[..., Own],
    make_run: Callable[..., RunDocument],
    accuracy_of: Callable[..., Accuracy],
) -> Callable[[str, float], OwnCell]:
    """trained(method, accuracy): the first so many of the test images are right."""

    def make(method: str, share: float) -> OwnCell:
        right = round(share * IMAGES)
        labels = tuple(number % 2 for number in range(IMAGES))
        predicted = tuple(label if i < right else 1 - label for i, label in enumerate(labels))
        run = make_run(method=method, accuracy=accuracy_of(labels, predicted))
        own = own_figure(share, "fraction", low=share - 0.02, high=share + 0.02)
        return own_cell(method, {"accuracy_after": own}, dataset="cifar10", documents=(run,))

    return make


def test_agreeing_opposite_and_equal_pairs(trained: Callable[[str, float], OwnCell]) -> None:
    """The paper, CF10: QAS 86.9, fp32 86.0, Adam 84.5, SGD-M 75.4."""
    cells = [
        trained("int8-sgd-m-qas", 0.9),
        trained("fp32-sgd-m", 0.9),
        trained("int8-adam", 0.5),
        trained("int8-sgd-m", 0.7),
    ]
    order, *more = orders(SUITE, PUBLISHED, cells, "reduced")
    assert more == []
    assert [entry.method for entry in order.ranked] == [cell.method for cell in cells]
    verdicts = {(pair.ahead, pair.behind): pair.verdict for pair in order.pairs}
    assert len(verdicts) == 6
    assert verdicts["int8-sgd-m-qas", "fp32-sgd-m"] == "undecided"
    assert verdicts["int8-sgd-m-qas", "int8-adam"] == "agree"
    assert verdicts["int8-adam", "int8-sgd-m"] == "disagree"
    assert order.place == "Table 1, column CF10"
    assert (order.network, order.dataset, order.note) == ("mcunet-5fps", "cifar10", "reduced")
    # Ranks 4 3 2 1 in the paper; here 3.5 3.5 1 2.
    assert order.rank_correlation == pytest.approx(7 / 90**0.5)


def test_one_method_is_no_order(trained: Callable[[str, float], OwnCell]) -> None:
    assert orders(SUITE, PUBLISHED, [trained("int8-adam", 0.5)], "") == ()


def test_another_network_stands_for_the_papers_by_declared_names(
    trained: Callable[[str, float], OwnCell],
) -> None:
    suite = load_paper_suite("paper-sparse")
    published = [figure for figure in published_figures() if figure.table in suite.tables]
    cells = [trained("sparse-148kb", 0.9), trained("bias-only:42", 0.7), trained("bias-only:12", 0.1)]
    (order,) = orders(suite, published, cells, "")
    assert order.place == "Fig. 9, column mean accuracy (mbv2-w0.35)"
    assert [(entry.method, entry.published) for entry in order.ranked] == [
        ("sparse-148kb", 72.0),
        ("bias-only:42", 64.3),
    ]
    assert [pair.verdict for pair in order.pairs] == ["agree"]


def test_figures_that_were_read_off_an_axis_may_be_too_near(
    trained: Callable[[str, float], OwnCell],
) -> None:
    suite = load_paper_suite("paper-sparse")
    published = [figure for figure in published_figures() if figure.table in suite.tables]
    cells = [trained("sparse-124kb", 0.9), trained("sparse-148kb", 0.5)]
    (order,) = orders(suite, published, cells, "")
    assert [pair.verdict for pair in order.pairs] == ["tie"]


@given(st.lists(st.integers(0, 1000), min_size=3, max_size=8, unique=True))
def test_a_column_agrees_with_itself_and_not_with_its_opposite(column: list[int]) -> None:
    assert rank_correlation(column, column) == pytest.approx(1.0)
    assert rank_correlation(column, [-value for value in column]) == pytest.approx(-1.0)


def test_no_correlation_where_there_is_no_order() -> None:
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
