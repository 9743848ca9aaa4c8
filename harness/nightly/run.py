"""Running a plan: all of its suites at once over the places there are, resumed where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import INFRASTRUCTURE, UsageError
from harness.farm.scheduler import SharedGate, Slots
from harness.nightly.document import (
    EntryResult,
    NightlyDocument,
    count_cells,
    judge,
    previous_good,
    save_nightly,
)
from harness.nightly.junit import JUNIT_FILE, junit_xml
from harness.nightly.plan import DEFAULT_OUT, PREVIOUS, Entry, Plan, overrides
from harness.nightly.summary import SUMMARY_FILE, summary
from harness.nightly.watcher import LineWatcher
from harness.paper.suite import paper_suite_names
from harness.provenance import git_revision, source_digest
from harness.rack.retries import at_fault
from harness.results.document import RunDocument
from harness.results.regression import regression_document
from harness.results.regression_document import RegressionDocument
from harness.results.store import write_atomically
from harness.results.tree import CellKey, load_tree
from harness.run.folder import locked
from harness.run.request import make_request, processor_cores
from harness.run.runner import EXPECTED, Request, request_slots, run_suite
from harness.run.workers import JobCrashed
from harness.suite import make_cells

COMPARISON_FILE = "compare.json"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Nightly:
    """What a nightly left behind."""

    folder: Path
    document: NightlyDocument
    comparison: RegressionDocument | None


@dataclass(frozen=True)
class _Ran:
    result: EntryResult
    documents: tuple[RunDocument, ...] = ()


def run_nightly(plan: Plan, plan_path: Path, say: Say) -> Nightly:
    """Run what of `plan` this commit does not have yet, compare, and write all into the commit's folder.

    Raises UsageError for a plan that cannot be run anywhere. What fails in a suite is in the documents.
    """
    out = (plan.out or DEFAULT_OUT).absolute()
    commit = this_commit()
    folder = out / commit.replace("+", "-changed")
    started = _now()
    document = NightlyDocument(title=plan.title, plan=str(plan_path), commit=commit, started=started)
    base = _base(plan, out, folder)
    before = [] if base is None else load_tree(base)
    with locked(folder):
        save_nightly(folder, document)
        ran = _run_entries(plan, folder, say)
        documents = [run for entry in ran for run in entry.documents]
        comparison = None if base is None else regression_document(base, folder, before, documents)
        code, outcome = judge([entry.result for entry in ran], documents, comparison)
        document = document.model_copy(
            update={
                "finished": _now(),
                "entries": tuple(entry.result for entry in ran),
                "base": None if base is None else str(base),
                "exit_code": code,
                "outcome": outcome,
            }
        )
        _write(folder, document, ran, comparison)
        save_nightly(folder, document)
    return Nightly(folder, document, comparison)


def this_commit() -> str:
    """Twelve digits of the revision; with changes in the tree, `+` and eight of the sources' digest."""
    revision, dirty = git_revision()
    short = (revision or "unknown")[:12]
    return f"{short}+{source_digest()[:8]}" if dirty or revision is None else short


def _run_entries(plan: Plan, folder: Path, say: Say) -> list[_Ran]:
    prepared = [_request(plan, entry, folder) for entry in plan.suites]
    requests = [request for request in prepared if isinstance(request, Request)]
    _refuse_overlap(requests)
    places = {lane: count for request in requests for lane, count in request_slots(request).places.items()}
    gate = SharedGate(Slots(plan.jobs or processor_cores(), places))
    ran: dict[int, _Ran] = {n: found for n, found in enumerate(prepared) if isinstance(found, _Ran)}
    for found in ran.values():
        say(f"{found.result.name}: {found.result.reason}")
    futures: dict[Future[_Ran], int] = {}
    with ThreadPoolExecutor(max(1, len(requests))) as pool:
        try:
            for number, request in enumerate(prepared):
                if isinstance(request, Request):
                    entry = plan.suites[number]
                    futures[pool.submit(_run_entry, entry, replace(request, gate=gate), say)] = number
            for future in as_completed(futures):
                ran[futures[future]] = future.result()
        except BaseException:
            gate.stop()
            raise
    return [ran[number] for number in range(len(plan.suites))]


def _refuse_overlap(requests: Sequence[Request]) -> None:
    """Two results of one cell could not be told apart, nor compared with a base."""
    seen: set[CellKey] = set()
    for request in requests:
        inputs = request.inputs
        for cell in make_cells(request.targets, request.methods, request.seeds):
            key = CellKey(
                request.suite.name,
                inputs.model_name,
                inputs.dataset_name,
                cell.target,
                cell.method,
                cell.seed,
            )
            if key in seen:
                raise UsageError(f"the plan runs {key} twice; one entry may name several targets")
            seen.add(key)


def _request(plan: Plan, entry: Entry, folder: Path) -> Request | _Ran:
    if entry.suite in paper_suite_names():
        raise UsageError(
            f"the plan names {entry.suite}, a suite of the paper, which no nightly runs: its cells are not"
            f" compared from commit to commit; run `trainbench run {entry.suite}`"
        )
    try:
        return make_request(entry.suite, overrides(plan, entry, folder / entry.folder))
    except INFRASTRUCTURE as error:
        return _Ran(_failed(entry, error))


def _run_entry(entry: Entry, request: Request, say: Say) -> _Ran:
    watcher = LineWatcher(entry.folder, say)
    try:
        documents = run_suite(request, watcher)
    except (*EXPECTED, JobCrashed) as error:
        say(f"{entry.folder}: {error}")
        return _Ran(_failed(entry, error))
    result = EntryResult(name=entry.folder, suite=entry.suite, targets=entry.targets, status="done")
    result = result.model_copy(update={"kept": watcher.kept_cells})
    return _Ran(count_cells(result, documents), tuple(documents))


def _failed(entry: Entry, error: Exception) -> EntryResult:
    return EntryResult(
        name=entry.folder,
        suite=entry.suite,
        targets=entry.targets,
        status="failed",
        reason=str(error),
        failure="infrastructure" if isinstance(error, JobCrashed) else at_fault(error),
    )


def _base(plan: Plan, out: Path, folder: Path) -> Path | None:
    if plan.base == PREVIOUS:
        return previous_good(out, folder)
    return Path(plan.base) if plan.base else None


def _write(
    folder: Path,
    document: NightlyDocument,
    ran: Sequence[_Ran],
    comparison: RegressionDocument | None,
) -> None:
    cells = [entry.documents for entry in ran]
    documents = [run for entry in ran for run in entry.documents]
    write_atomically(folder / JUNIT_FILE, junit_xml(document, cells, comparison))
    write_atomically(folder / SUMMARY_FILE, summary(document, documents, comparison))
    if comparison is not None:
        write_atomically(folder / COMPARISON_FILE, comparison.model_dump_json(indent=1) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
