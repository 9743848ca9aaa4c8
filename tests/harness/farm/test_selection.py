"""What `farm:TAG` means."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.farm.selection import Selection, is_farm

TAGS = {"target": "qemu-mps2-an500", "rack": "a", "m7": "yes"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("farm:", True),
        ("farm:m7", True),
        ("farm:rack=a", True),
        ("farm:rack=a,m7", True),
        ("farm:target=qemu-mps2-an500,rack=a", True),
        ("farm:rack=b", False),
        ("farm:rack=a,m33", False),
        ("farm:rack", True),
    ],
)
def test_tags(text: str, matches: bool) -> None:
    assert is_farm(text)
    selection = Selection.parse(text)
    assert selection.matches(TAGS) is matches
    assert str(selection) == text
    assert Selection.parse(str(selection)) == selection


@pytest.mark.parametrize(
    "text", ["farm:=a", "farm:rack=", "farm:a,,b", "farm:Rack", "farm:a=b=c", "farm:a b"]
)
def test_what_is_no_selection(text: str) -> None:
    with pytest.raises(UsageError, match="names no places"):
        Selection.parse(text)
