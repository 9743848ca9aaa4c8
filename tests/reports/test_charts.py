"""What the charts draw, as data."""

from __future__ import annotations

import json
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.results.comparison import compare
from harness.results.peak import peak_operator
from reports.charts.chart import Chart, label
from reports.charts.learning import block_means, held_out_chart, loss_chart
from reports.charts.memory_map import memory_map_chart
from reports.charts.operator_ticks import operator_ticks_chart
from reports.charts.tradeoff import tradeoff_chart

EMULATOR = "qemu-mps2-an500"


def charts(documents: list) -> list[Chart]:  # type: ignore[type-arg]
    comparison = compare(documents)
    return [
        tradeoff_chart(comparison),
        memory_map_chart(comparison, "full"),
        operator_ticks_chart(comparison, "full"),
        loss_chart(comparison),
        held_out_chart(comparison),
    ]


def test_figures_are_plain_json(factory: ModuleType) -> None:
    for chart in charts(factory.documents()):
        assert chart.choices
        json.dumps([choice.figure for choice in chart.choices], allow_nan=False)


def test_without_figures_each_chart_says_why(factory: ModuleType) -> None:
    for chart in charts([factory.document(*factory.FAILED)]):
        assert chart.choices == ()
        assert chart.absent.endswith(".")


def test_tradeoff_has_interval_bars_and_the_budget(factory: ModuleType) -> None:
    chart = tradeoff_chart(compare(factory.documents()))
    assert [choice.label for choice in chart.choices] == [EMULATOR, "host"]
    figure = chart.choices[0].figure
    assert [trace["name"] for trace in figure["data"]][2] == "sparse-49kb"
    bars = figure["data"][2]["error_y"]
    assert bars["array"][0] > 0 and bars["arrayminus"][0] > 0
    assert figure["layout"]["shapes"][0]["x0"] == 320


def test_memory_map_draws_every_buffer_where_it_lies(factory: ModuleType) -> None:
    chart = memory_map_chart(compare(factory.documents()), "full")
    assert [choice.label for choice in chart.choices][chart.start] == "full"
    plan = factory.plan("full")
    figure = chart.choices[chart.start].figure
    drawn = {
        (x - width / 2, x + width / 2, base, base + height)
        for trace in figure["data"]
        for x, width, base, height in zip(trace["x"], trace["width"], trace["base"], trace["y"], strict=True)
    }
    assert drawn == {(b.first, b.last, b.offset, b.offset + b.size) for b in plan.buffers}


def test_the_peak_is_where_most_bytes_live(factory: ModuleType) -> None:
    plan = factory.plan("full")
    peak = peak_operator(plan)
    assert plan.operators[peak].live_bytes == max(operator.live_bytes for operator in plan.operators)
    chart = memory_map_chart(compare([factory.document("full", "host", 0)]), "full")
    band = chart.choices[0].figure["layout"]["shapes"][0]
    assert (band["x0"], band["x1"]) == (peak, peak + 1)
    assert plan.operators[peak].name in chart.choices[0].caption


def test_different_plans_of_a_method_are_choices_of_their_own(factory: ModuleType) -> None:
    runs = [factory.document("full", "host", 0), factory.document("full", EMULATOR, 0)]
    other = runs[1].plan.model_copy(update={"order": "another order"})
    chart = memory_map_chart(compare([runs[0], runs[1].model_copy(update={"plan": other})]), "full")
    assert [choice.label for choice in chart.choices] == [f"full ({EMULATOR})", "full (host)"]


def test_operator_ticks_lose_nothing(factory: ModuleType) -> None:
    run = factory.document("sparse-49kb", EMULATOR, 0)
    (choice,) = operator_ticks_chart(compare([run]), "sparse-49kb").choices
    assert sum(sum(trace["y"]) for trace in choice.figure["data"]) == sum(
        entry.ticks for entry in run.operator_ticks
    )
    assert {trace["name"] for trace in choice.figure["data"]} == {"forward", "backward", "update"}


def test_operators_outside_the_plan_are_shown_as_such(factory: ModuleType) -> None:
    run = factory.document("sparse-49kb", EMULATOR, 0, plan=None)
    (choice,) = operator_ticks_chart(compare([run]), "sparse-49kb").choices
    assert [trace["name"] for trace in choice.figure["data"]] == ["not in the plan"]


def test_block_means() -> None:
    assert block_means([(1.0, 3.0, 5.0), (3.0, 5.0, 7.0)], 2) == ([2, 3], [3.0, 6.0])
    assert block_means([(1.0, 2.0, 9.0), (1.0, 2.0)], 2) == ([2], [1.5])
    assert block_means([(1.0, float("nan"), 2.0)], 1) == ([1, 2, 3], [1.0, None, 2.0])
    assert block_means([], 4) == ([], [])


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.integers(1, 20))
def test_blocks_keep_the_mean(losses: list[float], block: int) -> None:
    ends, means = block_means([tuple(losses)], block)
    sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    total = sum(mean * size for mean, size in zip(means, sizes, strict=True) if mean is not None)
    assert total == pytest.approx(sum(losses))


def test_a_loss_that_is_not_finite_is_a_gap(factory: ModuleType) -> None:
    run = factory.document("full", "host", 0)
    losses = (*run.accuracy.losses[:-1], float("inf"))
    bad = run.model_copy(update={"accuracy": run.accuracy.model_copy(update={"losses": losses})})
    (choice,) = loss_chart(compare([bad])).choices
    assert choice.figure["data"][0]["y"][-1] is None


def test_held_out_accuracy_is_the_mean_of_the_seeds(factory: ModuleType) -> None:
    runs = [factory.document("full", "host", seed) for seed in (0, 1)]
    (choice,) = held_out_chart(compare(runs)).choices
    last = [run.accuracy.curve[-1][1] for run in runs]
    assert choice.figure["data"][0]["y"][-1] == pytest.approx(50 * sum(last))


def test_labels_are_escaped() -> None:
    assert label('<a href="x">&') == '&lt;a href="x"&gt;&amp;'
