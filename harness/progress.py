"""Progress of a run on stderr: bars on a terminal, one line a finished job elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


@contextmanager
def busy(doing: str) -> Iterator[Callable[[int, int], None]]:
    """A spinner on stderr, if that is a terminal, while something goes on.

    Where its parts can be counted, the function that this gives may be told (done, total).
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    with console.status(doing) as status:

        def report(done: int, total: int) -> None:
            # Text is laid out anew each time, which takes longer than a small picture.
            if done % 64 == 0 or done == total:
                status.update(f"{doing}: {done} of {total}")

        yield report


class ProgressWatcher:
    """A `harness.run.runner.Watcher`. Use it in a `with` block: leaving it gives the terminal back."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._overall: TaskID | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def kept(self, cells: int) -> None:
        """So many cells were finished before."""
        if cells:
            self._say(f"{cells} finished cells are kept")

    def stage(self, title: str, jobs: Sequence[str]) -> None:
        """A group of jobs begins."""
        if self._overall is not None:
            self._bars.remove_task(self._overall)
        self._overall = self._bars.add_task(title, total=len(jobs))
        if not self._console.is_terminal:
            self._say(f"{title}: {len(jobs)} jobs")

    def started(self, job: str) -> None:
        self._tasks[job] = self._bars.add_task(f"  {job}", total=None)

    def progress(self, job: str, done: int, total: int) -> None:
        self._bars.update(self._tasks[job], completed=done, total=total)

    def finished(self, job: str, outcome: str) -> None:
        """`outcome` is empty, or why the job failed."""
        self._bars.remove_task(self._tasks.pop(job))
        if self._overall is not None:
            self._bars.advance(self._overall)
        if outcome or not self._console.is_terminal:
            self._say(f"{job}: {outcome or 'done'}")

    def _say(self, text: str) -> None:
        self._bars.console.print(text, markup=False, soft_wrap=True)
