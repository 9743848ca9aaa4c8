import pytest

from engine.errors import PlanError
from engine.plan import Buffer, Plan, plan_buffers
from engine.plan_table import format_plan

BUFFERS = [Buffer("input", 12, 0, 2), Buffer("conv1.out", 100, 1, 3), Buffer("grad", 9, 2, 11)]


def test_the_table_lists_buffers_by_offset_with_peak_bound_and_gap() -> None:
    plan = plan_buffers(BUFFERS)
    assert format_plan(BUFFERS, plan) == (
        "offset  end  size  first  last  buffer\n"
        "     0  100   100      1     3  conv1.out\n"
        "   100  112    12      0     2  input\n"
        "   100  109     9      2    11  grad\n"
        "\n"
        "peak 112 bytes, lower bound 112 bytes, gap 0 bytes, so the packing is optimal; "
        "order: size; alignment 4 bytes"
    )


def test_a_gap_is_told_in_bytes_and_percent() -> None:
    assert "gap 10 bytes (10.00%)" in format_plan(
        [Buffer("a", 100, 0, 1)], Plan((("a", 8),), 110, 100, "x", 2)
    )


def test_no_buffers_give_a_table_without_rows() -> None:
    assert format_plan([], plan_buffers([])).startswith(
        "offset  end  size  first  last  buffer\n\npeak 0 bytes"
    )


def test_a_buffer_without_an_offset_is_refused() -> None:
    with pytest.raises(PlanError, match=r"no offset to conv1\.out, grad"):
        format_plan(BUFFERS, Plan((("input", 0),), 12, 12, "x", 4))
