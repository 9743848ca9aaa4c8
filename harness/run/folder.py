"""The folder of a run: one run in it at a time, and no documents that would mislead beside its own."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import filelock

from harness.errors import ResultsError, UsageError
from harness.results.comparison import Options
from harness.results.store import SUFFIX, load_document
from harness.suite import Cell

LOCK_NAME = ".lock"


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Two runs into one folder would take each other's builds for their own."""
    out.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(out / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UsageError(
            f"another trainbench is running into {out}; wait for it or take another --out"
        ) from None
    try:
        yield
    finally:
        lock.release()


def refuse_strangers(out: Path, cells: Collection[Cell], wanted: Mapping[str, Options]) -> None:
    """Raise UsageError where a finished document would stay beside those of this run, of other options.

    `cells`: those of this run, whose documents are replaced. `wanted`: options by method.
    """
    for path in sorted(out.glob(f"*{SUFFIX}")):
        try:
            found = load_document(path)
        except ResultsError:
            continue
        stays = Cell(found.target, found.method, found.seed) not in cells
        if not stays or found.status != "done" or found.method not in wanted:
            continue
        theirs, ours = Options.of(found.scheme), wanted[found.method]
        if theirs != ours:
            raise UsageError(
                f"{out} holds {found.method} on {found.target}, seed {found.seed}, with {theirs};"
                f" this run would stand beside it with {ours}: run all cells of the method again,"
                " or take another --out"
            )
