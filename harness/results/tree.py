"""Run documents below a folder: that of one run, or of a nightly with a folder for each suite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.errors import ResultsError
from harness.results.document import RunDocument
from harness.results.store import SUFFIX, load_document


class CellKey(NamedTuple):
    """What names a cell wherever it was run. Networks and datasets by name, not by digest."""

    suite: str
    model: str
    dataset: str
    target: str
    method: str
    seed: int

    @classmethod
    def of(cls, run: RunDocument) -> CellKey:
        origin = run.provenance
        return cls(run.suite, origin.model_name, origin.dataset_name, run.target, run.method, run.seed)

    def __str__(self) -> str:
        return f"{self.suite}: {self.method} on {self.target}, seed {self.seed}"


def load_tree(folder: Path) -> list[RunDocument]:
    """All run documents in `folder` and below, by path.

    ResultsError: there is no such folder, no document in it, a broken one, or the same cell twice.
    """
    if not folder.is_dir():
        raise ResultsError(f"{folder} is not a folder of results; `trainbench run SUITE --out DIR` makes one")
    paths = sorted(folder.rglob(f"*{SUFFIX}"))
    if not paths:
        raise ResultsError(f"there are no run documents (*{SUFFIX}) in {folder} or below it")
    documents = [load_document(path) for path in paths]
    by_cell(documents)
    return documents


def by_cell(documents: Sequence[RunDocument]) -> dict[CellKey, RunDocument]:
    """`documents` by what they are of; ResultsError where two are of the same cell."""
    found: dict[CellKey, RunDocument] = {}
    for run in documents:
        key = CellKey.of(run)
        if key in found:
            raise ResultsError(f"{key} is there twice; compare folders that hold each cell once")
        found[key] = run
    return found
