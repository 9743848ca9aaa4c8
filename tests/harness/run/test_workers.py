from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest

from harness.errors import UsageError
from harness.run.workers import Job, JobCrashed, JobDied, Report, run_jobs


def double(number: int, report: Report) -> int:
    report(1, 2)
    report(2, 2)
    return 2 * number


def report_a_lot(report: Report) -> int:
    for done in range(1, 2001):
        report(done, 2000)
    return 2000


def fail(report: Report) -> int:
    raise UsageError("one sentence")


def break_down(report: Report) -> int:
    raise ZeroDivisionError("nobody foresaw this")


def die(report: Report) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def sleep_with_child(marker: Path, report: Report) -> int:
    """Start a process that would outlive us, and close it on the way out, as a device does."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as child:
        try:
            marker.write_text(f"{os.getpid()} {child.pid}")
            time.sleep(600)
        finally:
            child.kill()
    return 0


def test_every_job_yields_its_value_and_its_progress() -> None:
    progress: list[tuple[str, int, int]] = []
    jobs = [Job(str(number), partial(double, number)) for number in range(5)]
    outcomes = list(
        run_jobs(
            jobs,
            (UsageError,),
            limit=2,
            on_progress=lambda job, done, total: progress.append((job.title, done, total)),
        )
    )
    assert sorted(outcome.unwrap() for outcome in outcomes) == [0, 2, 4, 6, 8]
    assert sorted(progress) == sorted((str(number), done, 2) for number in range(5) for done in (1, 2))


def test_a_hasty_job_is_heard_now_and_then_and_at_its_end() -> None:
    heard: list[int] = []
    job = Job("hasty", report_a_lot)
    (outcome,) = run_jobs([job], (), on_progress=lambda job, done, total: heard.append(done))
    assert outcome.unwrap() == 2000
    assert heard == sorted(set(heard))
    assert (heard[0], heard[-1]) == (1, 2000)
    assert len(heard) < 200


def test_a_failed_job_does_not_stop_the_others() -> None:
    jobs: list[Job[int]] = [
        Job("expected", fail),
        Job("bug", break_down),
        Job("killed", die),
        Job("good", partial(double, 1)),
    ]
    found = {outcome.job.title: outcome for outcome in run_jobs(jobs, (UsageError,), limit=2)}
    assert isinstance(found["expected"].error, UsageError)
    assert str(found["expected"].error) == "one sentence"
    assert isinstance(found["bug"].error, JobCrashed)
    assert "nobody foresaw this" in str(found["bug"].error)
    assert "exit code -9" in str(found["killed"].error)
    assert found["good"].unwrap() == 2


def test_a_fork_server_that_is_killed_costs_one_job() -> None:
    list(run_jobs([Job("before", partial(double, 1))], ()))
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    os.kill(server, signal.SIGSTOP)
    killer = threading.Timer(0.5, os.kill, (server, signal.SIGKILL))  # while it is asked for a process
    killer.start()
    jobs = [Job(str(number), partial(double, number)) for number in (1, 2)]
    first, second = run_jobs(jobs, (UsageError,))
    killer.join()
    assert isinstance(first.error, JobDied)
    assert str(first.error) == "1: the process that starts jobs died"
    assert second.unwrap() == 4


@pytest.mark.parametrize("answer", ["report(1, 2)", "1 / 0", "5"])
def test_a_job_that_nobody_hears_ends_in_silence(answer: str) -> None:
    program = (
        "from multiprocessing import Pipe\nfrom harness.run.workers import _work\n"
        f"def call(report):\n    return {answer}\n"
        "ours, theirs = Pipe()\nours.close()\n_work(call, (), theirs)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (143, "", "")


def wait_for_pids(marker: Path) -> list[int]:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if marker.exists() and len(marker.read_text().split()) == 2:
            return [int(pid) for pid in marker.read_text().split()]
        time.sleep(0.02)
    raise AssertionError("the job did not start")


def gone(pids: list[int]) -> bool:
    end = time.monotonic() + 15
    while time.monotonic() < end:
        alive = [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
        if not alive:
            return True
        time.sleep(0.05)
    return False


def test_leaving_early_ends_the_jobs_and_what_they_started(tmp_path: Path) -> None:
    marker = tmp_path / "pids"
    jobs = [Job("long", partial(sleep_with_child, marker)), Job("short", partial(double, 1))]
    with contextlib.closing(run_jobs(jobs, (), limit=2)) as outcomes:
        assert next(outcomes).unwrap() == 2
        pids = wait_for_pids(marker)
    assert gone(pids)


def test_jobs_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    marker = tmp_path / "pids"
    script = tmp_path / "parent.py"
    script.write_text(
        "import importlib.util, sys\n"
        "from functools import partial\n"
        "from pathlib import Path\n"
        "from harness.run.workers import Job, run_jobs\n"
        f"spec = importlib.util.spec_from_file_location('jobs_of_test', {str(Path(__file__))!r})\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['jobs_of_test'] = module\n"
        "spec.loader.exec_module(module)\n"
        "if __name__ == '__main__':\n"
        f"    job = Job('x', partial(module.sleep_with_child, Path({str(marker)!r})))\n"
        "    list(run_jobs([job], (), limit=1))\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    try:
        pids = wait_for_pids(marker)
    finally:
        parent.kill()
        parent.wait()
    assert gone(pids)
