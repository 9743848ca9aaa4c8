import pytest
from hypothesis import given
from plan_shapes_strategy import shapes

from engine.errors import PlanError
from engine.plan_shapes import Buffer, Part, live_profile, lower_bound


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", 1, 0, 1), "a name needs"),
        (("a*/b", 1, 0, 1), "asterisks"),
        (("a b", 1, 0, 1), "spaces"),
        (("a\n", 1, 0, 1), "printable"),
        (("a", 0, 0, 1), "size of 0 bytes"),
        (("a", -4, 0, 1), "size of -4 bytes"),
        (("a", 1, -1, 1), r"\[-1, 1\)"),
        (("a", 1, 3, 3), r"\[3, 3\)"),
    ],
)
def test_a_malformed_buffer_is_refused(arguments: tuple[str, int, int, int], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Buffer.box(*arguments)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((), "no parts"),
        ((Part(0, 4, 0, 1), Part(0, 4, 2, 3)), "ends at operator 1 and the next begins at 2"),
        ((Part(0, 4, 0, 2), Part(0, 4, 1, 3)), "ends at operator 2 and the next begins at 1"),
        ((Part(4, 4, 0, 1), Part(8, 4, 1, 2)), "the lowest part of buffer a starts at 4"),
        ((Part(0, 4, 0, 1), Part(-4, 4, 1, 2)), "a part of buffer a starts at -4"),
        ((Part(0, 4, 0, 1), Part(0, 0, 1, 2)), "size of 0 bytes"),
    ],
)
def test_a_malformed_shape_is_refused(parts: tuple[Part, ...], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Buffer("a", parts)


def test_a_box_is_a_shape_of_one_part() -> None:
    box = Buffer.box("a", 7, 2, 5)
    assert box.parts == (Part(0, 7, 2, 5),)
    assert (box.first, box.last, box.extent) == (2, 5, 7)


def test_the_profile_counts_what_is_live_at_each_operator() -> None:
    shape = Buffer("a", (Part(0, 8, 1, 2), Part(4, 5, 2, 4)))
    assert live_profile([shape, Buffer.box("b", 1, 0, 3)], alignment=4) == [4, 12, 12, 8]
    assert live_profile([], alignment=4) == []


def test_the_bound_is_the_fullest_operator() -> None:
    shape = Buffer("a", (Part(0, 8, 0, 1), Part(4, 5, 1, 2)))
    beside = [Buffer.box("b", 6, 0, 1), Buffer.box("c", 9, 1, 2)]
    assert lower_bound([shape, *beside]) == 20
    assert lower_bound([shape, *beside], alignment=1) == 14


def test_the_bound_is_the_widest_shape_where_that_is_more() -> None:
    assert lower_bound([Buffer("a", (Part(0, 4, 0, 1), Part(36, 3, 1, 2)))]) == 40


@given(shapes())
def test_the_bound_counts_each_operator_by_itself(buffers: list[Buffer]) -> None:
    end = max((buffer.last for buffer in buffers), default=0)
    parts = [part for buffer in buffers for part in buffer.parts]
    live = [sum(p.size for p in parts if p.first <= operator < p.last) for operator in range(end)]
    assert live_profile(buffers, alignment=1) == live
    assert lower_bound(buffers, alignment=1) == max(
        [*live, *(buffer.extent for buffer in buffers)], default=0
    )
