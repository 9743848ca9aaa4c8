import pytest

from engine.errors import PlanError
from engine.plan import Buffer, Plan
from engine.plan_check import ViolationCode, check_plan, require_valid_plan

A = Buffer("a", 8, 0, 2)
B = Buffer("b", 8, 1, 3)
C = Buffer("c", 4, 2, 4)


def plan(*placements: tuple[str, int], peak: int = 16, bound: int = 16) -> Plan:
    return Plan(placements, peak, bound, "by hand", 4)


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
    ],
)
def test_each_violation_has_its_code(candidate: Plan, expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert codes([A, B, C], candidate) == expected


def test_an_overlap_by_one_byte_is_found_where_one_encloses_the_other() -> None:
    outer, inner = Buffer("outer", 64, 0, 10), Buffer("inner", 1, 5, 6)
    assert codes([outer, inner], Plan((("inner", 60), ("outer", 0)), 68, 68, "by hand", 4)) == [
        ("overlap", ("outer", "inner"))
    ]


def test_a_name_twice_among_the_buffers_is_a_duplicate() -> None:
    found = check_plan([A, A], plan(("a", 0)))
    assert ViolationCode.DUPLICATE in {v.code for v in found}


def test_all_violations_are_told_at_once() -> None:
    with pytest.raises(
        PlanError, match=r"2 violation.*missing: c has no offset.*overlap: a and b share bytes"
    ):
        require_valid_plan([A, B, C], plan(("a", 0), ("b", 4)))
