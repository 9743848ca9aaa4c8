"""The comparison table: every cell has figures or says why not."""

from __future__ import annotations

from types import ModuleType

from harness.results.comparison import compare
from harness.results.document import Digests
from reports.tables import COLUMNS, Row, Value, comparison_blocks, groups, paired_tables

EMULATOR = "qemu-mps2-an500"
TITLES = [column.title for column in COLUMNS]


def value(row: Row, title: str) -> Value:
    found = row.values[TITLES.index(title)]
    return Value(found.text.replace("\u202f", " "), found.note.replace("\u202f", " "), found.tone)


def rows(factory: ModuleType, target: str = EMULATOR) -> dict[str, Row]:
    blocks = comparison_blocks(compare(factory.documents()))
    (block,) = (block for block in blocks if block.target == target)
    return {row.method: row for row in block.rows}


def test_every_row_fills_every_column(factory: ModuleType) -> None:
    blocks = comparison_blocks(compare(factory.documents()))
    assert [len(block.rows) for block in blocks] == [5, 5]
    assert all(len(row.values) == len(COLUMNS) for block in blocks for row in block.rows)
    assert sum(width for _, width in groups()) == len(COLUMNS)


def test_columns_of_a_group_are_neighbours() -> None:
    names = [column.group for column in COLUMNS]
    assert [group for group, width in groups() for _ in range(width)] == names


def test_figures_carry_unit_and_kind(factory: ModuleType) -> None:
    row = rows(factory)["sparse-49kb"]
    assert value(row, "peak") == Value("158 378", "154.7 KB · simulated")
    assert value(row, "a training step") == Value("103 000 000", "instructions · simulated")
    assert value(row, "budget") == Value("fits", "STM32F746, 320 KB", "good")
    assert value(row, "after").note.endswith("\non host")
    host = rows(factory, "host")["sparse-49kb"]
    assert value(host, "a training step").note.startswith("nanoseconds · measured\n103 0")
    assert value(host, "budget") == Value("–", "no budget")


def test_what_does_not_fit_says_by_how_much(factory: ModuleType) -> None:
    assert value(rows(factory)["full"], "budget").text == "lacks 1 066 871"


def test_missing_seeds_say_why(factory: ModuleType) -> None:
    assert rows(factory)["full"].reasons == (f"Seed 2 not run: {factory.NOT_RUN_REASON}",)
    assert rows(factory, "host")["sparse-99kb"].reasons == (f"Seed 2 failed: {factory.FAILED_REASON}",)


def test_a_cell_without_any_document_says_so(factory: ModuleType) -> None:
    runs = [factory.document("full", "host", 0), factory.document("last-layer", EMULATOR, 0)]
    block = comparison_blocks(compare(runs))[0]
    (row,) = (row for row in block.rows if row.method == "full")
    assert row.reasons == ("no run document: this method was not asked for on this target",)
    assert {found.text for found in row.values} == {"–"}


def test_digest_column(factory: ModuleType) -> None:
    assert value(rows(factory)["full"], "SHA-256").note == "= host\n2 seeds, 1 200 steps"
    wrong = (Digests(steps=30, state="0" * 64),)
    runs = [factory.document("full", "host", 0), factory.document("full", EMULATOR, 0, digests=wrong)]
    found = value(comparison_blocks(compare(runs))[0].rows[0], "SHA-256")
    assert found == Value("0000000000", "≠ DIFFERS from host", "bad")


def test_paired_differences(factory: ModuleType) -> None:
    (table,) = paired_tables(compare(factory.documents()))
    assert table.references == ("last-layer", "full")
    against = dict(table.rows)
    assert against["sparse-49kb"][0].note.endswith("\nbetter")
    assert against["bias-only:12"][0].note.endswith("\ncannot be told apart")
    assert against["last-layer"][0] == Value()
    assert (table.seeds, table.images) == ("2–3", 400)
