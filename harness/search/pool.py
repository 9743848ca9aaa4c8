"""Where jobs of a search run: processes of this machine, or a Dask cluster. One small interface for both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from engine.errors import EngineError
from fixtures.errors import FixtureError
from harness.errors import HarnessError
from harness.run.workers import Job, Outcome, run_jobs

T = TypeVar("T")

EXPECTED = (HarnessError, EngineError, FixtureError)


class Pool(Protocol):
    """Runs jobs, a few at a time, and ends them when the iterator is closed."""

    parallel: int
    """How many at a time."""

    def run(
        self, jobs: Sequence[Job[T]], on_start: Callable[[Job[T]], None] = lambda job: None
    ) -> Iterator[Outcome[T]]:
        """Outcomes as they come, in any order; close the iterator early to end all jobs."""


class LocalPool:
    """Processes of this machine, one a job."""

    def __init__(self, parallel: int) -> None:
        self.parallel = parallel

    def run(
        self, jobs: Sequence[Job[T]], on_start: Callable[[Job[T]], None] = lambda job: None
    ) -> Iterator[Outcome[T]]:
        yield from run_jobs(jobs, EXPECTED, limit=self.parallel, on_start=on_start)
