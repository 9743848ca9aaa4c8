from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.search.budget import parse_budget


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("98304", 98304), ("96KiB", 98304), ("100KB", 102400), ("100 kb", 102400), ("1.5MB", 1572864)),
        *(("512B", 512), ("0.5KB", 512), ("1", 1)),
    ],
)
def test_bytes_and_units_of_1024(text: str, size: int) -> None:
    assert parse_budget(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "KB",
        "0",
        "0KB",
        "-1KB",
        "1e5",
        "100K",
        "100 GB",
        "1.0001KB",
        "nan",
        "٣KB",
        "1,000",
        "1 0KB",
        "1KB ",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="budget"):
        parse_budget(text)
