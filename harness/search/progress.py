"""Progress of a search on stderr: a bar with the time left on a terminal, else a line now and then."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_LINE_SECONDS = 30.0
"""Where stderr is no terminal: at most one line in so much time."""


class Watcher(Protocol):
    """Hears how a search goes on."""

    def stage(self, title: str, total: int, kept: int) -> None:
        """A group of `total` jobs begins, of which `kept` are finished already."""

    def done(self, job: str, trouble: str = "") -> None:
        """One more is finished; `trouble` is empty, or what to know about it."""


class SearchProgress:
    """A Watcher on stderr. Use it in a `with` block: leaving it gives the terminal back."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._title, self._total, self._kept, self._count = "", 0, 0, 0
        self._started = self._said = 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def stage(self, title: str, total: int, kept: int) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._title, self._total, self._kept, self._count = title, total, kept, 0
        self._started = self._said = time.monotonic()
        if total > kept:
            self._task = self._bar.add_task(title, total=total, completed=kept)
            note = f", {kept} of them kept from before" if kept else ""
            if not self._console.is_terminal:
                self._say(f"{title}: {total}{note}")

    def done(self, job: str, trouble: str = "") -> None:
        self._count += 1
        if self._task is not None:
            self._bar.advance(self._task)
        if trouble:
            self._say(f"{job}: {trouble}")
        now = time.monotonic()
        if not self._console.is_terminal and now - self._said >= _LINE_SECONDS:
            self._said = now
            left = self._total - self._kept - self._count
            self._say(
                f"{self._title}: {self._kept + self._count} of {self._total},"
                f" about {_duration(left * (now - self._started) / self._count)} left"
            )

    def _say(self, text: str) -> None:
        self._bar.console.print(text, markup=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    """e.g. `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
