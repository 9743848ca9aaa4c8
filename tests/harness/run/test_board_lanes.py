from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.rack.file import VARIABLE
from harness.run.runner import _lane, request_slots
from harness.suite import Cell

BOARD, EMULATOR = "stm32f746g-disco", "qemu-mps2-an500"


def request_of(*targets: str) -> Any:
    return SimpleNamespace(parallel=8, targets=targets, farms={})


def test_a_target_with_one_board_runs_one_cell_at_a_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    request = request_of(BOARD, EMULATOR)
    slots = request_slots(request)
    board, emulator = (_lane(request, Cell(target, "m", 0)) for target in (BOARD, EMULATOR))
    assert (slots.of(board), slots.of(emulator)) == (1, 8)
    assert slots.slot(board) != slots.slot(emulator)


def test_as_many_cells_as_the_rack_has_boards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    boards = "".join(f'[[boards]]\nname = "b{n}"\ntarget = "{BOARD}"\nprobe = "P{n}"\n' for n in range(3))
    (tmp_path / "rack.toml").write_text(boards)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "rack.toml"))
    request = request_of(BOARD)
    assert request_slots(request).of(_lane(request, Cell(BOARD, "m", 0))) == 3
