"""Jobs on a Dask cluster of this machine; skipped where Dask is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from harness.errors import MeasurementError
from harness.run.workers import Job, JobCrashed, Report
from harness.search.dask_pool import DaskPool, SchedulerError, dask_pool

distributed = pytest.importorskip(
    "distributed", reason="Dask is not installed (pip install 'trainbench[dask]')"
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, protocol="tcp://"
    ) as started:
        yield started


@pytest.fixture
def pool(cluster: object) -> Iterator[DaskPool]:
    with dask_pool(cluster.scheduler_address) as found:  # type: ignore[attr-defined]
        yield found


def square(number: int, report: Report) -> int:
    report(1, 1)
    return number * number


def refuse(report: Report) -> int:
    raise MeasurementError("the trainer is not the one compiled")


def crash(report: Report) -> int:
    raise ZeroDivisionError("nobody foresaw this")


def test_every_job_has_its_outcome(pool: DaskPool) -> None:
    assert pool.parallel == 2
    jobs = [Job(f"square {number}", partial(square, number)) for number in range(9)]
    started: list[str] = []
    outcomes = {o.job.title: o.unwrap() for o in pool.run(jobs, lambda job: started.append(job.title))}
    assert outcomes == {f"square {number}": number * number for number in range(9)}
    assert started == [job.title for job in jobs]


def test_expected_errors_come_back_as_they_are_and_others_as_crashes(pool: DaskPool) -> None:
    outcomes = {o.job.title: o.error for o in pool.run([Job("refused", refuse), Job("crashed", crash)])}
    assert isinstance(outcomes["refused"], MeasurementError)
    assert isinstance(outcomes["crashed"], JobCrashed)
    assert "nobody foresaw this" in str(outcomes["crashed"])


def test_closing_early_leaves_nothing(pool: DaskPool) -> None:
    with closing(pool.run([Job(f"square {n}", partial(square, n)) for n in range(9)])) as outcomes:  # type: ignore[type-var]
        next(outcomes)
    jobs = [Job("one more", partial(square, 3))]
    assert [outcome.unwrap() for outcome in pool.run(jobs)] == [9]


def test_no_scheduler_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.search.dask_pool.CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(SchedulerError, match="no Dask scheduler at tcp"),
        dask_pool("tcp://127.0.0.1:1"),
    ):
        pass
