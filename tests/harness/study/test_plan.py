from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from harness.errors import UsageError
from harness.run.runner import Request
from harness.study.candidates import Rates
from harness.study.plan import DEFAULT_RATES, amount, make_plan
from harness.study.protocol import final_request, selection_folds, selection_request
from harness.study.rows import Choice
from harness.study.variants import Options
from harness.suite import Method, Study, load_suite

OPTIONS = Options(("stochastic",), ("i16",))
METHODS = (
    Method(name="last-layer", learning_rate=1.0),
    Method(name="full", learning_rate=1.0, learning_rates=(0.1, 0.2), convolution_rates=(1, 10, 100)),
    Method(name="full, fp32", scheme="full", learning_rate=1.0, precision="fp32"),
)


@pytest.fixture
def request_() -> Request:
    return Request(
        suite=load_suite("what-to-update"),
        inputs=cast(Any, None),
        targets=("host",),
        methods=METHODS,
        seeds=(0,),
        out=Path("/nowhere"),
        sram_budget=None,
        parallel=2,
        step_seconds=1.0,
    )


def test_a_grid_is_the_command_lines_or_the_methods_or_the_suites_or_ours(request_: Request) -> None:
    def grids(rates: tuple[float, ...], study: Study) -> list[tuple[float, ...]]:
        plan = make_plan(request_, OPTIONS, rates, study)
        return [method.learning_rates for method in plan.request.methods]

    assert grids((0.5,), Study(learning_rates=(0.3,))) == [(0.5,)] * 3
    assert grids((), Study(learning_rates=(0.3,))) == [(0.3,), (0.1, 0.2), (0.3,)]
    assert grids((), Study()) == [DEFAULT_RATES, (0.1, 0.2), DEFAULT_RATES]
    with pytest.raises(UsageError, match="have to be positive"):
        grids((0.5, 0.0), Study())


def test_the_amount_counts_all_folds(request_: Request) -> None:
    study = Study(learning_rates=(0.1, 0.2, 0.3), seeds=5, selection_folds=2, measure_on="board")
    found = amount(make_plan(request_, OPTIONS, (), study))
    assert (found.selection, found.final, found.measured) == ((3 + (3 + 1) + 3) * 2, 15, 2)
    twice = amount(make_plan(request_, OPTIONS, (), study.model_copy(update={"folds": 3, "measure_on": ""})))
    assert (twice.selection, twice.final, twice.measured) == (3 * found.selection, 45, 0)


def test_others_are_held_against_what_is_there(request_: Request) -> None:
    plan = make_plan(request_, OPTIONS, (), Study(against=("full", "sparse-49kb")))
    assert plan.against == ("full",)
    assert plan.references["full, fp32"].variant == "full"


def test_the_selection_never_sees_the_test_part_and_the_final_training_has_the_chosen_rates(
    request_: Request,
) -> None:
    plan = make_plan(request_, OPTIONS, (), Study(selection_folds=2, seeds=2))
    tried = {"last-layer": (Rates(0.5, 1.0),), "full": (Rates(0.1, 10), Rates(0.1, 100)), "full, fp32": ()}
    assert selection_folds(plan) == ((1, 2), (2, 2))
    selection = selection_request(plan, tried, (1, 2))
    assert (selection.split, selection.fold, selection.latency) == ("selection", (1, 2), False)
    assert [(m.learning_rate, m.convolution_rate) for m in selection.methods] == [
        (0.5, 1),
        (0.1, 10),
        (0.1, 100),
    ]
    chosen = {"last-layer": Rates(0.5, 1.0), "full": Rates(0.1, 10), "full, fp32": Rates(0.2, 1)}
    final = final_request(plan, Choice(chosen, {}))
    assert (final.split, final.fold, final.seeds) == ("final", None, (0, 1))
    assert [(m.name, m.learning_rate, m.convolution_rate) for m in final.methods] == [
        ("last-layer", 0.5, 1),
        ("full", 0.1, 10),
        ("full, fp32", 0.2, 1),
    ]
    assert selection_folds(replace(plan, selection_folds=1)) == (None,)
