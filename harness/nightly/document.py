"""What became of a nightly: `nightly.json` in its folder. All else is rendered from it and run documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from harness.errors import ResultsError
from harness.results.document import Document, RunDocument
from harness.results.regression_document import RegressionDocument
from harness.results.store import write_atomically

FILE = "nightly.json"


class EntryResult(Document):
    """One suite. Counts are of cells."""

    name: str
    suite: str
    targets: tuple[str, ...]
    """As the plan names them."""
    status: Literal["done", "failed"]
    """failed: the suite as a whole could not be run, and `reason` says why."""
    reason: str = ""
    failure: Literal["", "trainer", "infrastructure"] = ""
    kept: int = 0
    """Found finished, of the same commit."""
    done: int = 0
    failed: int = 0
    not_run: int = 0
    unstable: int = 0
    """Done, after a retry."""


class NightlyDocument(Document):
    schema_version: Literal[1] = 1
    title: str
    plan: str
    commit: str
    """Git revision; `+` at its end: the tree had changes."""
    started: str
    finished: str | None = None
    """None: it is running, or was interrupted; the same command goes on."""
    entries: tuple[EntryResult, ...] = ()
    base: str | None = None
    """Folder that it was compared with."""
    exit_code: Literal[0, 1, 3] | None = None
    outcome: str = ""


def save_nightly(folder: Path, nightly: NightlyDocument) -> None:
    write_atomically(folder / FILE, nightly.model_dump_json(indent=1) + "\n")


def load_nightly(folder: Path) -> NightlyDocument:
    """ResultsError: there is none, or it is broken."""
    try:
        return NightlyDocument.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ResultsError(f"{folder / FILE} is no record of a nightly: {error}") from error


def previous_good(out: Path, current: Path) -> Path | None:
    """The folder below `out` of the nightly that finished last without a finding; not `current`."""
    found: list[tuple[str, Path]] = []
    for path in sorted(out.glob(f"*/{FILE}")):
        if path.parent == current:
            continue
        try:
            nightly = load_nightly(path.parent)
        except ResultsError:
            continue
        if nightly.finished is not None and nightly.exit_code == 0:
            found.append((nightly.finished, path.parent))
    return max(found)[1] if found else None


def count_cells(result: EntryResult, documents: Sequence[RunDocument]) -> EntryResult:
    """`result` with the counts of its run documents."""
    return result.model_copy(
        update={
            "done": sum(run.status == "done" for run in documents),
            "failed": sum(run.status == "failed" for run in documents),
            "not_run": sum(run.status == "not-run" for run in documents),
            "unstable": sum(run.status == "done" and bool(run.retries) for run in documents),
        }
    )


def judge(
    entries: Sequence[EntryResult], documents: Sequence[RunDocument], comparison: RegressionDocument | None
) -> tuple[Literal[0, 1, 3], str]:
    """The exit code of a nightly, and why: 1 a regression, 3 something was not measured, 0 neither.

    A cell that fails for a reason of the trainer is a regression, unless it failed in the base as well.
    """
    known = comparison is not None
    broken = [run for run in documents if run.status == "failed" and run.failure != "infrastructure"]
    lost = [run for run in documents if run.status == "failed" and run.failure == "infrastructure"]
    unusable = [entry for entry in entries if entry.status == "failed"]
    if comparison is not None and comparison.exit_code == 1:
        return 1, comparison.outcome
    faulty = [entry for entry in unusable if entry.failure == "trainer"]
    if faulty:
        return 1, f"{len(faulty)} of {len(entries)} suites could not be run: {faulty[0].reason}"
    if broken and not known:
        return 1, f"{len(broken)} of {len(documents)} cells failed: {_first(broken)}"
    if unusable:
        return 3, f"{len(unusable)} of {len(entries)} suites could not be run: {unusable[0].reason}"
    if lost or broken:
        failed = [*lost, *broken]
        return 3, f"{len(failed)} of {len(documents)} cells were not measured: {_first(failed)}"
    if not any(run.status == "done" for run in documents):
        return 3, "nothing was measured"
    if comparison is not None:
        return comparison.exit_code, comparison.outcome
    return 0, f"{len(documents)} cells, nothing to compare with"


def _first(runs: Sequence[RunDocument]) -> str:
    return f"{runs[0].method} on {runs[0].target}, seed {runs[0].seed}: {runs[0].reason}"
