"""Trials on a Dask cluster, for searches that one machine is too small for (`pip install trainbench[dask]`).

The cluster is the user's: its workers have this trainbench, a compiler, and the network file and the dataset
at the same paths. Each checks that its network, dataset and sources are those of the search. Dask hands
objects over as pickles, so scheduler and workers have to be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from harness.errors import HarnessError, ToolMissingError
from harness.run.workers import Job, JobCrashed, Outcome
from harness.search.pool import EXPECTED

T = TypeVar("T")

CONNECT_SECONDS = 30.0
_AHEAD = 2
"""Jobs handed to the cluster for each of its threads, so that none waits for us."""


class SchedulerError(HarnessError):
    """A Dask scheduler that is not there, or one without workers."""


class DaskPool:
    """Runs jobs on the cluster of a connected `distributed.Client`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.parallel = sum(client.nthreads().values())
        if not self.parallel:
            raise SchedulerError("the Dask scheduler has no workers; start some with `dask worker ADDRESS`")

    def run(
        self, jobs: Sequence[Job[T]], on_start: Callable[[Job[T]], None] = lambda job: None
    ) -> Iterator[Outcome[T]]:
        import distributed

        waiting, running = list(jobs), dict[Any, Job[T]]()
        completed: Any = distributed.as_completed(loop=self._client.loop)

        def submit() -> None:
            job = waiting.pop(0)
            on_start(job)
            future = self._client.submit(_call, job, pure=False, retries=2)
            running[future] = job
            completed.add(future)

        try:
            while waiting and len(running) < _AHEAD * self.parallel:
                submit()
            for future in completed:
                job = running.pop(future)
                yield _outcome(job, future)
                if waiting:
                    submit()
        finally:
            self._client.cancel(list(running), force=True)


def _call(job: Job[T]) -> T:
    return job.call(lambda done, total: None)


def _outcome(job: Job[T], future: Any) -> Outcome[T]:
    if future.status == "finished":
        return Outcome(job, value=future.result())
    error = future.exception() if future.status == "error" else None
    if isinstance(error, EXPECTED):
        return Outcome(job, error=error)
    return Outcome(job, error=JobCrashed(f"{job.title}: {future.status} on the Dask cluster: {error!r}"))


@contextmanager
def dask_pool(address: str) -> Iterator[DaskPool]:
    """A pool on the scheduler at `address`, such as tcp://10.0.0.5:8786; closed in the end."""
    try:
        import distributed
    except ImportError as error:
        raise ToolMissingError(
            "--scheduler needs Dask, which is not installed; run: pip install 'trainbench[dask]'"
        ) from error
    try:
        client: Any = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise SchedulerError(f"there is no Dask scheduler at {address}: {error}") from error
    try:
        yield DaskPool(client)
    finally:
        client.close(timeout=CONNECT_SECONDS)
