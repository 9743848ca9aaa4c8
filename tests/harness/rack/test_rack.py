"""The rack file, quarantine, power, identity, and claiming a board with all of them together."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.commands.rack import parse_duration
from harness.deadline import Deadline
from harness.errors import RackError, UsageError
from harness.rack.claim import claim_board
from harness.rack.file import Board, Rack, find_rack, load_rack
from harness.rack.identity import Identity, check_identity
from harness.rack.lock import BoardHeld, BoardLock
from harness.rack.power import power_cycle
from harness.rack.quarantine import FILE, Quarantine

RACK = """
state = "state"
[[boards]]
name = "a"
target = "disco"
probe = "0A"
idcode = 0x10016449
uid = "00FF"
tags = ["m7", "fast"]
[[boards]]
name = "b"
target = "disco"
probe = "0B"
serial = "S1"
[[boards]]
name = "c"
target = "nucleo"
probe = "0C"
"""


@pytest.fixture
def rack(tmp_path: Path) -> Rack:
    (tmp_path / "rack.toml").write_text(RACK)
    return load_rack(tmp_path / "rack.toml")


def test_a_rack_file(rack: Rack, tmp_path: Path) -> None:
    assert rack.folder == tmp_path / "state"
    assert [board.name for board in rack.boards_of("disco")] == ["a", "b"]
    assert [board.name for board in rack.boards_of("disco", ("m7",))] == ["a"]
    assert rack.board("a").uid == "00ff"
    assert (rack.board("a").serial_number, rack.board("b").serial_number) == ("0A", "S1")
    with pytest.raises(UsageError, match=r"no board named 'x'.*: a, b, c"):
        rack.board("x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("boards = 1", "boards"),
        ('[[boards]]\nname = "a"\ntarget = "t"\nprobe = "p"\nport = "/dev/ttyACM0"', "boards.0.port"),
        ('[[boards]]\nname = "../a"\ntarget = "t"\nprobe = "p"', "boards.0.name"),
        (RACK + '[[boards]]\nname = "d"\ntarget = "t"\nprobe = "0A"', "two boards have the probe '0A'"),
        ("[[", "not valid TOML"),
    ],
)
def test_a_rack_file_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rack.toml").write_text(text)
    with pytest.raises(RackError, match=message):
        load_rack(tmp_path / "rack.toml")


def test_which_rack_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRAINBENCH_RACK", raising=False)
    assert find_rack().boards == ()
    (tmp_path / "rack.toml").write_text(RACK)
    assert len(find_rack().boards) == 3
    monkeypatch.setenv("TRAINBENCH_RACK", str(tmp_path / "nowhere.toml"))
    with pytest.raises(RackError, match="cannot be read"):
        find_rack()


def test_quarantine_has_a_reason_and_an_end(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path)
    quarantine.add("a", "the flash wears out", timedelta(days=7))
    quarantine.add("b", "no USB")
    with pytest.raises(RackError, match=r"a is in quarantine: the flash wears out \(by .*until 20"):
        quarantine.check("a")
    later = datetime.now(UTC) + timedelta(days=8)
    assert set(quarantine.entries(later)) == {"b"}
    quarantine.check("c")
    quarantine.release("b")
    assert set(quarantine.entries()) == {"a"}
    with pytest.raises(UsageError, match="not in quarantine"):
        quarantine.release("b")
    with pytest.raises(UsageError, match="say why"):
        quarantine.add("a", " ")


def test_a_broken_quarantine_list_lets_nobody_in(tmp_path: Path, rack: Rack) -> None:
    rack.folder.mkdir()
    (rack.folder / FILE).write_text("{")
    with pytest.raises(RackError, match="no board is used"), claim_board(rack, "disco", Deadline.after(0)):
        pass


def test_claims_take_what_is_free_and_allowed(rack: Rack) -> None:
    now = Deadline.after(0)
    with claim_board(rack, "disco", now) as first, claim_board(rack, "disco", now) as second:
        assert (first.name, second.name) == ("a", "b")
        with pytest.raises(BoardHeld, match=r"a by .*; b by "), claim_board(rack, "disco", now):
            pass
    Quarantine(rack.folder).add("a", "smoke")
    with claim_board(rack, "disco", now) as board:
        assert board.name == "b"
    Quarantine(rack.folder).add("b", "more smoke")
    with (
        pytest.raises(RackError, match=r"every board .* in quarantine: a: smoke"),
        claim_board(rack, "disco", now),
    ):
        pass
    with pytest.raises(RackError, match="no board of target disco with the tags m33"):
        claim_board(rack, "disco", now, tags=("m33",)).__enter__()
    with pytest.raises(RackError, match="board c is of target nucleo"):
        claim_board(rack, "disco", now, name="c").__enter__()
    assert not BoardLock(rack.folder, "a").in_use()


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Identity("0A", 0x10016449, "00FF"), None),
        (Identity("0B", 0x10016449, "00FF"), "not board a: its probe has the serial number 0B where"),
        (
            Identity("0A", 0x10006449, "00FF"),
            "identification code is 0x10006449 where the rack file has 0x10016449",
        ),
        (Identity("0A", 0x10016449, "01ff"), "unique ID 01ff where the rack file has 00ff"),
        (Identity("0A", None, "00FF"), "cannot be told from another"),
        (Identity("0A", 0x10016449), "cannot be told from another"),
    ],
)
def test_the_wrong_board_is_refused(rack: Rack, found: Identity, message: str | None) -> None:
    if message is None:
        check_identity(rack.board("a"), found)
        return
    with pytest.raises(RackError, match=message) as caught:
        check_identity(rack.board("a"), found)
    assert "\n" not in str(caught.value)


def test_power_commands(tmp_path: Path) -> None:
    def board(code: str) -> Board:
        words = (sys.executable, "-c", code, "{board}", "{probe}", str(tmp_path))
        return Board(name="a", target="t", probe="0A", power=words)

    write = "import sys, pathlib; pathlib.Path(sys.argv[3], 'said').write_text(' '.join(sys.argv[1:3]))"
    power_cycle(board(write), Deadline.after(30))
    assert (tmp_path / "said").read_text() == "a 0A"
    with pytest.raises(RackError, match="exit code 3: no such hub"):
        power_cycle(board("print('no such hub'); raise SystemExit(3)"), Deadline.after(30))
    with pytest.raises(RackError, match=r"did not end in 0\.5 s"):
        power_cycle(board("import time; time.sleep(60)"), Deadline.after(0.5))
    with pytest.raises(RackError, match="no power command"):
        power_cycle(Board(name="a", target="t", probe="0A"), Deadline.after(1))


def test_durations() -> None:
    assert parse_duration(None) is None
    assert parse_duration("90m") == timedelta(minutes=90)
    assert parse_duration("2w") == timedelta(weeks=2)
    for wrong in ("", "7", "0d", "d", "-1d", "7 d"):
        with pytest.raises(UsageError, match="is no time"):
            parse_duration(wrong)
