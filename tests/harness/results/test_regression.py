"""HEAD against BASE on documents whose differences are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ResultsError
from harness.results.document import Digests, RunDocument, Sections, Sram, TickSeries
from harness.results.regression import compare_runs, exit_code
from harness.results.regression_document import Change

MakeRun = Callable[..., RunDocument]
STEPS = (1000, 1010, 990) * 10


def sram(stack: int = 100) -> Sram:
    return Sram(
        kind="measured",
        peak=3000 + stack,
        static=1000,
        state=500,
        arena=1500,
        arena_touched=1500,
        stack=stack,
        agent=64,
        untouched_outside=True,
    )


def ticks(values: tuple[int, ...] = STEPS, unit: str = "instructions") -> TickSeries:
    kind = "measured" if unit == "cycles" else "simulated"
    return TickSeries.model_validate({"unit": unit, "kind": kind, "values": values})


@pytest.fixture
def emulated(make_run: MakeRun) -> Callable[..., RunDocument]:
    """A cell of an emulator with every exact figure; keyword arguments replace fields."""

    def make(**changes: Any) -> RunDocument:
        fields: dict[str, Any] = {
            "target": "qemu",
            "sram": sram(),
            "sections": Sections(text=10, rodata=2, data=3, bss=4, flash=15),
            "step_ticks": ticks(),
            "predict_ticks": ticks((400,) * 30),
            "digests": (Digests(steps=20, state="aa"), Digests(steps=30, state="bb")),
        }
        return make_run(**{**fields, **changes})

    return make


def found(changes: tuple[Change, ...], figure: str) -> Change:
    (change,) = [change for change in changes if change.figure == figure]
    return change


def test_equal_runs_are_unchanged_and_pass(emulated: MakeRun) -> None:
    changes = compare_runs([emulated()], [emulated()])
    assert {change.verdict for change in changes} == {"unchanged"}
    figures = {"peak_sram", "static", "state", "arena", "stack", "agent", "flash"}
    assert {change.figure for change in changes} == figures | {"step_ticks", "predict_ticks", "state_digest"}
    assert exit_code(changes)[0] == 0


@pytest.mark.parametrize(
    ("change", "figure", "verdict"),
    [
        ({"sram": sram(101)}, "stack", "regression"),
        ({"sram": sram(99)}, "peak_sram", "improvement"),
        ({"sections": Sections(text=11, rodata=2, data=3, bss=4, flash=16)}, "flash", "regression"),
        ({"step_ticks": ticks((1001, *STEPS[1:]))}, "step_ticks", "regression"),
        ({"step_ticks": ticks((999, *STEPS[1:]))}, "step_ticks", "improvement"),
        ({"step_ticks": ticks((1010, 1000, 990) * 10)}, "step_ticks", "changed"),
        ({"step_ticks": ticks((*STEPS, 1000))}, "step_ticks", "not-comparable"),
        ({"step_ticks": ticks(unit="cycles")}, "step_ticks", "not-comparable"),
        ({"step_ticks": None}, "step_ticks", "missing"),
        (
            {"digests": (Digests(steps=20, state="aa"), Digests(steps=30, state="cc"))},
            "state_digest",
            "changed",
        ),
        ({"digests": (Digests(steps=20, state="aa"),)}, "state_digest", "unchanged"),
        ({"digests": (Digests(steps=21, state="aa"),)}, "state_digest", "not-comparable"),
    ],
)
def test_one_exact_figure_that_differs(
    emulated: MakeRun, change: dict[str, Any], figure: str, verdict: str
) -> None:
    changes = compare_runs([emulated()], [emulated(**change)])
    assert found(changes, figure).verdict == verdict
    expected = {"regression": 1, "changed": 1, "missing": 3}.get(verdict, 0)
    assert exit_code(changes)[0] == expected


@given(st.lists(st.integers(1, 10**12), min_size=30, max_size=30), st.integers(0, 29), st.integers(1, 10**6))
def test_one_instruction_more_is_a_regression(
    make_run: MakeRun, values: list[int], index: int, more: int
) -> None:
    worse = [value + more * (number == index) for number, value in enumerate(values)]
    base, head = (make_run(step_ticks=ticks(tuple(series))) for series in (values, worse))
    assert found(compare_runs([base], [head]), "step_ticks").verdict == "regression"
    assert found(compare_runs([head], [base]), "step_ticks").verdict == "improvement"
    assert found(compare_runs([head], [head]), "step_ticks").verdict == "unchanged"


def test_nanoseconds_of_the_host_are_left_out(make_run: MakeRun) -> None:
    runs = [make_run(step_ticks=ticks(values, "nanoseconds")) for values in (STEPS, (5000,) * 30)]
    assert compare_runs(runs[:1], runs[1:]) == ()


def test_cycles_are_compared_by_interval(make_run: MakeRun) -> None:
    noise = tuple(100_000 + 37 * (number * 7919 % 11) for number in range(40))
    base = make_run(step_ticks=ticks(noise, "cycles"))

    def verdict(values: tuple[int, ...]) -> str:
        return found(
            compare_runs([base], [make_run(step_ticks=ticks(values, "cycles"))]), "step_ticks"
        ).verdict

    assert verdict(noise[::-1]) == "unchanged"
    assert verdict(tuple(value * 102 // 100 for value in noise)) == "regression"
    assert verdict(tuple(value * 98 // 100 for value in noise)) == "improvement"
    assert verdict(tuple(value * 1001 // 1000 for value in noise)) == "unchanged"
    assert verdict(tuple(value * (99 + 3 * (n % 2)) // 100 for n, value in enumerate(noise))) == "undecided"
    assert verdict(noise[:29]) == "not-comparable"


def test_accuracy_is_paired_and_needs_evidence(make_run: MakeRun, accuracy_of: Callable[..., Any]) -> None:
    labels = tuple(number % 2 for number in range(200))
    wrong = tuple(label if number % 4 else 1 - label for number, label in enumerate(labels))
    slightly = (1 - labels[0], *labels[1:])
    right, worse, hardly = (
        make_run(accuracy=accuracy_of(labels, predicted)) for predicted in (labels, wrong, slightly)
    )

    def verdict(base: RunDocument, head: RunDocument) -> str:
        return found(compare_runs([base], [head]), "accuracy_after").verdict

    assert verdict(right, worse) == "regression"
    assert verdict(worse, right) == "improvement"
    assert verdict(right, hardly) == "undecided"
    assert verdict(right, right) == "unchanged"
    other = make_run(accuracy=accuracy_of(labels[::-1], labels[::-1]))
    assert verdict(right, other) == "not-comparable"


def test_adopted_accuracy_counts_once(make_run: MakeRun, accuracy_of: Callable[..., Any]) -> None:
    runs = [make_run(target=target, accuracy=accuracy_of((0, 1), (0, 1))) for target in ("host", "qemu")]
    accuracies = [c for c in compare_runs(runs, runs) if c.figure == "accuracy_after"]
    assert [change.target for change in accuracies] == ["host"]


def test_what_became_of_a_cell(emulated: MakeRun) -> None:
    done = emulated()
    broken = emulated(status="failed", reason="it faults", failure="trainer")
    lost = emulated(status="failed", reason="the link broke", failure="infrastructure")
    no_room = emulated(status="not-run", reason="no room")
    cases = [
        ([done], [], "missing", 3),
        ([], [done], "new", 3),
        ([done], [broken], "regression", 1),
        ([done], [lost], "failed", 3),
        ([broken], [broken], "failed", 3),
        ([broken], [done], "improvement", 3),
        ([done], [no_room], "regression", 1),
        ([no_room], [done], "improvement", 3),
        ([no_room], [no_room], "unchanged", 3),
    ]
    for base, head, verdict, code in cases:
        changes = compare_runs(base, head)
        assert found(changes, "cell").verdict == verdict
        assert exit_code(changes)[0] == code


def test_nothing_compared_is_no_success(emulated: MakeRun) -> None:
    other = emulated()
    other = other.model_copy(
        update={"provenance": other.provenance.model_copy(update={"dataset_digest": "other"})}
    )
    changes = compare_runs([emulated()], [other])
    assert [(change.figure, change.verdict) for change in changes] == [("cell", "not-comparable")]
    assert "another dataset" in changes[0].note
    assert exit_code(changes)[0] == 3


def test_missing_may_be_allowed(emulated: MakeRun) -> None:
    changes = compare_runs([emulated(), emulated(seed=1)], [emulated()])
    assert exit_code(changes)[0] == 3
    assert exit_code(changes, allow_missing=True)[0] == 0


def test_a_regression_outweighs_what_is_missing(emulated: MakeRun) -> None:
    changes = compare_runs([emulated(), emulated(seed=1)], [emulated(sram=sram(101))])
    assert exit_code(changes)[0] == 1


def test_the_same_cell_twice_is_refused(emulated: MakeRun) -> None:
    with pytest.raises(ResultsError, match="twice"):
        compare_runs([emulated(), emulated()], [emulated()])


def test_retries_are_said(emulated: MakeRun) -> None:
    head = emulated(retries=({"at": "now", "error": "the link broke"},))
    assert "unstable" in found(compare_runs([emulated()], [head]), "stack").note
