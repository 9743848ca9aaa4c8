import pytest

from engine.errors import PlanError
from engine.plan import Buffer, Part, Plan, plan_buffers
from engine.plan_table import format_plan

BUFFERS = [Buffer.box("input", 12, 0, 2), Buffer.box("conv1.out", 100, 1, 3), Buffer.box("grad", 9, 2, 11)]


def test_the_table_lists_buffers_by_offset_with_peak_bound_and_gap() -> None:
    plan = plan_buffers(BUFFERS)
    assert format_plan(BUFFERS, plan) == (
        "offset  end  size  first  last  buffer\n"
        "     0  100   100      1     3  conv1.out\n"
        "   100  112    12      0     2  input\n"
        "   100  109     9      2    11  grad\n"
        "\n"
        "order: size; alignment 4 bytes\n"
        "peak 112 bytes, lower bound 112 bytes, gap 0 bytes; optimal: equals the lower bound"
    )


def test_a_gap_is_told_in_bytes_and_percent() -> None:
    text = format_plan([Buffer.box("a", 100, 0, 1)], Plan((("a", 8),), 110, 100, 100, "x", 2))
    assert text.endswith("gap 10 bytes (10.00%); gap of 10 bytes, not proved")


def test_what_the_solver_proved_is_told() -> None:
    text = format_plan([Buffer.box("a", 100, 0, 1)], Plan((("a", 8),), 108, 108, 100, "x", 2))
    assert text.endswith("peak 108 bytes, lower bound 108 bytes, gap 0 bytes; optimal: proved by CP-SAT")


def test_a_shape_takes_a_line_a_part() -> None:
    shapes = [
        Buffer("b", (Part(0, 8, 0, 2), Part(4, 12, 2, 3))),
        Buffer.box("a", 4, 1, 3),
    ]
    text = format_plan(shapes, Plan((("a", 16), ("b", 0)), 20, 16, 16, "x", 4))
    assert text.splitlines()[:4] == [
        "offset  end  size  first  last  buffer",
        "     0    8     8      0     2  b, part 1 of 2",
        "     4   16    12      2     3  b, part 2 of 2",
        "    16   20     4      1     3  a",
    ]


def test_no_buffers_give_a_table_without_rows() -> None:
    assert format_plan([], plan_buffers([])).startswith(
        "offset  end  size  first  last  buffer\n\norder: size; alignment 4 bytes\npeak 0 bytes"
    )


def test_a_buffer_without_an_offset_is_refused() -> None:
    with pytest.raises(PlanError, match=r"no offset to conv1\.out, grad"):
        format_plan(BUFFERS, Plan((("input", 0),), 12, 12, 12, "x", 4))
