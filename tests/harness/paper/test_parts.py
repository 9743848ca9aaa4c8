from __future__ import annotations

import pytest

from harness.paper.options import PaperOptions
from harness.paper.parts import describe_reduction, with_grid
from harness.paper.suite import PaperMethod, load_paper_suite

SUITE = load_paper_suite("paper-qas")


def method(name: str) -> PaperMethod:
    (found,) = [method for method in SUITE.methods if method.name == name]
    return found


def test_a_method_without_a_grid_takes_the_suites() -> None:
    assert SUITE.accuracy is not None
    found = with_grid(method("int8-sgd-m-qas").plain(), SUITE.accuracy, None)
    assert found.learning_rates == SUITE.accuracy.learning_rates
    assert found.accumulate == 128


def test_fewer_images_an_update_want_smaller_steps_of_plain_gradients_alone() -> None:
    assert SUITE.accuracy is not None
    changed = {
        name: with_grid(method(name).plain(), SUITE.accuracy, SUITE.reduced)
        for name in ("batch-128-momentum-0", "int8-adam", "batch-1-momentum-0")
    }
    assert {name: found.accumulate for name, found in changed.items()} == {
        "batch-128-momentum-0": 16,
        "int8-adam": 16,
        "batch-1-momentum-0": 1,
    }
    plain = method("batch-128-momentum-0").learning_rates
    assert changed["batch-128-momentum-0"].learning_rates == pytest.approx([rate / 8 for rate in plain])
    for name in ("int8-adam", "batch-1-momentum-0"):
        assert changed[name].learning_rates == method(name).learning_rates


def test_a_reduction_is_told_in_full() -> None:
    told = describe_reduction(SUITE, PaperOptions(reduced=True))
    assert told == (
        "reduced: 1500 training images, 1 + 4 epochs, updates of at most 16 images, 2 seeds,"
        " tested on 1000 images"
    )
    assert describe_reduction(SUITE, PaperOptions()) == ""
