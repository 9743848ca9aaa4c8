import pytest

from engine.errors import PlanError
from engine.plan import Buffer, Part, Plan
from engine.plan_check import ViolationCode, check_plan, require_valid_plan

A = Buffer.box("a", 8, 0, 2)
B = Buffer.box("b", 8, 1, 3)
C = Buffer.box("c", 4, 2, 4)


def plan(*placements: tuple[str, int], peak: int = 16, bound: int = 16, counted: int = 16) -> Plan:
    return Plan(placements, peak, bound, counted, "by hand", 4)


def codes(buffers: list[Buffer], candidate: Plan) -> list[tuple[str, tuple[str, ...]]]:
    return [(str(v.code), v.buffers) for v in check_plan(buffers, candidate)]


def test_a_good_plan_has_no_violation() -> None:
    good = plan(("a", 0), ("b", 8), ("c", 0))
    assert codes([A, B, C], good) == []
    require_valid_plan([A, B, C], good)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (plan(("a", 0), ("b", 4), ("c", 12)), [("overlap", ("a", "b"))]),
        (plan(("a", 0), ("b", 8), ("c", 12)), [("overlap", ("b", "c"))]),
        (plan(("a", 0), ("b", 12), ("c", 0)), [("outside", ("b",))]),
        (plan(("a", -4), ("b", 8), ("c", 0)), [("outside", ("a",))]),
        (plan(("a", 0), ("b", 8), ("c", 2)), [("misaligned", ("c",))]),
        (plan(("a", 0), ("b", 8)), [("missing", ("c",))]),
        (plan(("a", 0), ("b", 8), ("c", 0), ("c", 4)), [("duplicate", ("c",))]),
        (plan(("a", 0), ("b", 8), ("c", 0), ("d", 0)), [("unknown", ("d",))]),
        (plan(("a", 0), ("b", 8), ("c", 0), bound=12), [("bound", ())]),
        (plan(("a", 0), ("b", 8), ("c", 0), bound=20), [("bound", ())]),
        (plan(("a", 0), ("b", 8), ("c", 0), counted=12), [("bound", ())]),
        (plan(("a", 0), ("b", 8), ("c", 0), bound=20, counted=20, peak=24), [("bound", ())]),
    ],
)
def test_each_violation_has_its_code(candidate: Plan, expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert codes([A, B, C], candidate) == expected


def test_an_overlap_by_one_byte_is_found_where_one_encloses_the_other() -> None:
    outer, inner = Buffer.box("outer", 64, 0, 10), Buffer.box("inner", 1, 5, 6)
    assert codes([outer, inner], Plan((("inner", 60), ("outer", 0)), 68, 68, 68, "by hand", 4)) == [
        ("overlap", ("outer", "inner"))
    ]


SHAPE = Buffer("shape", (Part(0, 8, 0, 2), Part(8, 4, 2, 4)))
LOW, HIGH = Buffer.box("low", 8, 2, 4), Buffer.box("high", 4, 0, 2)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (plan(("high", 8), ("low", 0), ("shape", 0), peak=12, bound=12, counted=12), []),
        (
            plan(("high", 4), ("low", 0), ("shape", 0), peak=12, bound=12, counted=12),
            [("overlap", ("shape", "high"))],
        ),
        (
            plan(("high", 12), ("low", 4), ("shape", 0), peak=16, bound=12, counted=12),
            [("overlap", ("low", "shape"))],
        ),
        (
            plan(("high", 0), ("low", 0), ("shape", 4), peak=12, bound=12, counted=12),
            [("outside", ("shape",))],
        ),
        (
            plan(("high", 8), ("low", 0), ("shape", -8), peak=12, bound=12, counted=12),
            [("outside", ("shape",)), ("overlap", ("low", "shape"))],
        ),
    ],
)
def test_the_parts_of_a_shape_are_checked_where_they_lie(
    candidate: Plan, expected: list[tuple[str, tuple[str, ...]]]
) -> None:
    assert codes([SHAPE, LOW, HIGH], candidate) == expected


def test_the_extent_of_a_shape_counts_for_the_bound() -> None:
    folded = Buffer("a", (Part(0, 4, 0, 1), Part(36, 4, 1, 2)))
    assert codes([folded], plan(("a", 0), peak=40, bound=40, counted=40)) == []
    assert codes([folded], plan(("a", 0), peak=40, bound=4, counted=4)) == [("bound", ())]


def test_a_name_twice_among_the_buffers_is_a_duplicate() -> None:
    found = check_plan([A, A], plan(("a", 0)))
    assert ViolationCode.DUPLICATE in {v.code for v in found}


def test_all_violations_are_told_at_once() -> None:
    with pytest.raises(
        PlanError, match=r"2 violation.*missing: c has no offset.*overlap: a and b share bytes"
    ):
        require_valid_plan([A, B, C], plan(("a", 0), ("b", 4)))
