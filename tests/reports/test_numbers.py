"""Numbers never round to something they are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.numbers import count, kilobytes, listed, percent, plural, points

THIN, MINUS = "\u202f", "\u2212"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (2_912_345, f"2{THIN}912{THIN}345"),
        (3.5, "3.5"),
        (-1200, f"{MINUS}1{THIN}200"),
    ],
)
def test_count(number: float, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, f"0{THIN}bytes"),
        (1023, f"1023{THIN}bytes"),
        (1024, f"1{THIN}KB"),
        (106_701, f"104.2{THIN}KB"),
        (327_680, f"320{THIN}KB"),
        (1024 * 1024, f"1{THIN}MB"),
        (3_240_025, f"3.09{THIN}MB"),
    ],
)
def test_kilobytes(size: int, text: str) -> None:
    assert kilobytes(size) == text


def test_kilobytes_of_a_round_hundred_keep_their_zeros() -> None:
    assert kilobytes(100 * 1024 * 1024) == f"100{THIN}MB"


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.0, "0.0"), (1.0, "100.0"), (0.9131, "91.3"), (0.0002, "0.02"), (0.99996, "99.99")],
)
def test_percent(fraction: float, text: str) -> None:
    assert percent(fraction) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0.033, "+3.3"), (-0.012, f"{MINUS}1.2"), (0.0, "0"), (0.0004, "+0.04"), (-0.0001, f"{MINUS}0.01")],
)
def test_points(fraction: float, text: str) -> None:
    assert points(fraction) == text


@given(st.floats(-1, 1, allow_subnormal=False))
def test_points_keep_the_sign(fraction: float) -> None:
    text = points(fraction)
    assert text.startswith("+" if fraction > 0 else MINUS if fraction < 0 else "0")


@given(st.floats(0, 1))
def test_percent_keeps_certainty_for_certainty(fraction: float) -> None:
    text = percent(fraction)
    assert (float(text) == 100.0) == (fraction == 1.0)
    assert (float(text) == 0.0) == (fraction == 0.0)


def test_words() -> None:
    assert plural(1, "seed") == "1 seed"
    assert plural(3, "seed") == "3 seeds"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
