"""Signals end a process through its `finally` blocks, wherever they come."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys, time
from harness.ending import raise_on

class Ended(BaseException):
    pass

class Struck:
    def __del__(self):
        for _ in range(int(sys.argv[2])):
            os.kill(os.getpid(), signal.SIGTERM)

def strike_after_fork():
    os.kill(os.getpid(), signal.SIGTERM)

def make(number):
    return Ended(number)

raise_on((signal.SIGTERM, signal.SIGINT), make)
try:
    if sys.argv[1] == "plainly":
        os.kill(os.getpid(), signal.SIGINT)
    elif sys.argv[1] == "deleted":
        Struck()
    else:
        os.register_at_fork(after_in_parent=strike_after_fork)
        if os.fork() == 0:
            os._exit(0)
    time.sleep(60)
except Ended as ended:
    print("ended by", ended.args[0])
"""


@pytest.mark.parametrize(
    ("place", "times", "number"),
    [("plainly", 1, 2), ("deleted", 1, 15), ("deleted", 3, 15), ("forked", 1, 15)],
)
def test_a_signal_is_raised_even_where_python_ignores_exceptions(place: str, times: int, number: int) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, place, str(times)],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (result.stdout, result.stderr) == (f"ended by {number}\n", "")


def test_other_ignored_exceptions_are_still_shown() -> None:
    program = (
        "import signal\nfrom harness.ending import raise_on\nraise_on((signal.SIGTERM,), SystemExit)\n"
        "class Broken:\n    def __del__(self):\n        raise ValueError('of its own')\nBroken()\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "ValueError: of its own" in result.stderr
