"""How a nightly's suites go on: one line a finished job, whatever else runs beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class LineWatcher:
    """A `harness.run.runner.Watcher` that says lines, each with the suite before it."""

    def __init__(self, name: str, say: Callable[[str], None]) -> None:
        self._name = name
        self._say = say
        self.kept_cells = 0

    def stage(self, title: str, jobs: Sequence[str]) -> None:
        self._say(f"{self._name}: {title}: {len(jobs)} jobs")

    def started(self, job: str) -> None:
        """Said when it ends."""

    def progress(self, job: str, done: int, total: int) -> None:
        """Said when it ends."""

    def finished(self, job: str, outcome: str) -> None:
        self._say(f"{self._name}: {job}: {outcome or 'done'}")

    def kept(self, cells: int) -> None:
        self.kept_cells = cells
        if cells:
            self._say(f"{self._name}: {cells} finished cells are kept")
