import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from harness.deadline import Deadline
from harness.devices.process import ChildProcess, signal_name
from harness.errors import DeviceError, ToolMissingError


def python(script: str) -> ChildProcess:
    return ChildProcess([sys.executable, "-c", textwrap.dedent(script)])


def until_printed(child: ChildProcess, text: str) -> None:
    deadline = Deadline.after(10)
    while text not in child.output():
        deadline.check(f"waiting for {text!r}")
        time.sleep(0.005)


def test_exit_code_and_output() -> None:
    child = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)")
    assert child.wait(10) == 7
    assert child.how_it_ended() == f"{child.name} ended with exit code 7"
    assert {*child.output().split()} == {"out", "err"}
    child.end()
    assert {*child.output().split()} == {"out", "err"}


def test_only_the_end_of_a_long_output_is_kept() -> None:
    child = python("print('x' * 100000 + 'end')")
    assert child.wait(10) == 0
    assert len(child.output()) < 5000
    assert child.output().endswith("end")
    child.end()


def test_the_whole_group_is_ended_even_if_it_ignores_sigterm() -> None:
    child = python("""
        import os, signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print("child", below.pid, flush=True)
        time.sleep(60)
    """)
    until_printed(child, "child")
    below = psutil.Process(int(child.output().split()[1]))
    child.end(grace=0.05)
    assert child.how_it_ended().endswith("was ended by SIGKILL")
    deadline = Deadline.after(5)
    while psutil.pid_exists(below.pid) and below.status() != psutil.STATUS_ZOMBIE:
        deadline.check("waiting for the grandchild to end")
        time.sleep(0.005)
    child.end()


def test_grace_lets_a_program_end_by_itself() -> None:
    child = python("""
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        print("ready", flush=True)
        time.sleep(60)
    """)
    until_printed(child, "ready")
    child.end(grace=10)
    assert child.poll() == 3


def test_a_stopped_process_is_ended_too() -> None:
    child = python("import time; time.sleep(60)")
    child.send_signal(signal.SIGSTOP)
    child.end()
    assert child.poll() == -signal.SIGKILL
    assert not psutil.pid_exists(child.pid)


def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import time
        from harness.devices.process import ChildProcess
        print(ChildProcess(["sleep", "60"]).pid, flush=True)
        time.sleep(60)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert os.getpgid(child.pid) == child.pid
    finally:
        parent.kill()
        parent.communicate(timeout=10)
    deadline = Deadline.after(10)
    while psutil.pid_exists(child.pid) and child.status() != psutil.STATUS_ZOMBIE:
        deadline.check("waiting for the child to end")
        time.sleep(0.005)


def test_a_program_that_does_not_exist() -> None:
    with pytest.raises(ToolMissingError, match="/nowhere/qemu was not found"):
        ChildProcess(["/nowhere/qemu"])


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cannot be started: Permission denied"):
        ChildProcess([str(tmp_path)])


def test_signals_without_a_name() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(40) == "signal 40"
