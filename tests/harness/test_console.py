"""Tables that are printed as they are."""

from __future__ import annotations

import pytest

from harness.console import plain_table, print_whole


def test_nothing_in_a_wide_table_is_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    table = plain_table(("name",), tuple(f"column {number}" for number in range(10)))
    cells = [f"{number}" * 30 for number in range(10)]
    table.add_row("n" * 100, *cells)
    print_whole(table)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "…" not in lines[1]
    assert lines[1].split() == ["n" * 100, *cells]
