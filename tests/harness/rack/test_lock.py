"""Board locks between real processes: waited for with a deadline, freed by the kernel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.errors import RackError
from harness.rack.lock import BoardHeld, BoardLock

HOLD = """
import sys
from pathlib import Path
from harness.deadline import Deadline
from harness.rack.lock import BoardLock
lock = BoardLock(Path(sys.argv[1]), "b1").acquire(Deadline.after(10))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def other_process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has board b1 until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()


def test_one_at_a_time_and_the_message_names_the_holder(tmp_path: Path) -> None:
    lock = BoardLock(tmp_path, "b1")
    with other_process(tmp_path) as other:
        assert not lock.try_acquire()
        assert lock.in_use()
        with pytest.raises(BoardHeld, match=f"b1 is held by .* \\(process {other.pid}, .*since 20") as caught:
            lock.acquire(Deadline.after(0.1))
        assert "waited 0.1 s" in str(caught.value)
        with BoardLock(tmp_path, "b2").acquire(Deadline.after(0)):
            pass


def test_a_killed_owner_frees_the_board(tmp_path: Path) -> None:
    with other_process(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
    with BoardLock(tmp_path, "b1").acquire(Deadline.after(0)) as lock:
        holder = lock.holder()
        assert holder is not None
        assert holder.pid == os.getpid()


def test_a_waiter_gets_the_board_when_it_is_given_back(tmp_path: Path) -> None:
    with other_process(tmp_path) as other:
        assert other.stdin is not None
        other.stdin.close()
        BoardLock(tmp_path, "b1").acquire(Deadline.after(30)).release()


def test_release_and_the_record(tmp_path: Path) -> None:
    lock = BoardLock(tmp_path, "b1").acquire(Deadline.after(0))
    assert lock.held
    with pytest.raises(RackError, match="already"):
        lock.try_acquire()
    lock.release()
    lock.release()
    assert lock.holder() is None
    assert not lock.in_use()
    assert lock.try_acquire()
    lock.release()


def test_programs_that_are_started_do_not_inherit_the_board(tmp_path: Path) -> None:
    lock = BoardLock(tmp_path, "b1").acquire(Deadline.after(0))
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        lock.release()
        assert not lock.in_use()
    finally:
        child.kill()
        child.wait()


def test_a_folder_that_cannot_be_locked_gives_nobody_the_board(tmp_path: Path) -> None:
    (tmp_path / "locks").write_text("a file where the folder should be")
    with pytest.raises(RackError, match="cannot be locked"):
        BoardLock(tmp_path, "b1").acquire(Deadline.after(0))
    (tmp_path / "other" / "locks").mkdir(parents=True)
    (tmp_path / "other" / "locks" / "b1.lock").symlink_to("/dev/null")
    with pytest.raises(RackError, match="cannot be locked"):
        BoardLock(tmp_path / "other", "b1").try_acquire()
