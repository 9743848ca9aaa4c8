"""What has to hold after every run, whatever was done to it. Functions give the rules that were broken."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import filelock
import psutil

from harness.errors import ResultsError
from harness.results.document import RunDocument
from harness.results.store import SUFFIX, load_document
from harness.run.folder import LOCK_NAME

END_SECONDS = 20.0
"""How long what a run started may take to end after it."""
LONGEST_SENTENCE = 1200

Figures = Mapping[str, object]


def figures(document: RunDocument, *, whole: bool) -> Figures:
    """All that a document says of the trainer, but for what differs in every run (the host's nanoseconds).

    `whole`: with the accuracy, which an interrupted run has not yet taken over from the reference.
    """
    emulated = document.target != "host"
    digests = document.digests
    found: dict[str, object] = {
        "digests": digests,
        "sections": document.sections,
        "elf": document.provenance.elf_digest,
        "plan": document.plan,
        "scheme": document.scheme,
        "operators": document.operator_ticks,
    }
    if emulated:
        found |= {
            "sram": document.sram,
            "steps": document.step_ticks,
            "predictions": document.predict_ticks,
        }
    if whole or not emulated:
        found["accuracy"] = document.accuracy
    return found


def stored(out: Path) -> tuple[dict[str, RunDocument], list[str]]:
    """Documents by file name, and those that cannot be read: they are replaced whole or not at all."""
    documents, broken = {}, []
    for path in sorted(out.glob(f"*{SUFFIX}")):
        try:
            documents[path.name] = load_document(path)
        except ResultsError as error:
            broken.append(f"a stored document is broken: {error}")
    return documents, broken


def wrong_figures(
    documents: Mapping[str, RunDocument], reference: Mapping[str, RunDocument], *, whole: bool
) -> list[str]:
    """Documents that are done and say anything else than the reference."""
    broken = []
    for name, document in documents.items():
        if document.status != "done":
            continue
        ours, theirs = figures(document, whole=whole), figures(reference[name], whole=whole)
        broken += [f"{name}: {key} is not the reference's" for key in ours if ours[key] != theirs[key]]
    return broken


def unnamed_failures(documents: Mapping[str, RunDocument], code: int, errors: str) -> list[str]:
    """Failures without a cause, or with more than a sentence of it."""
    broken = ["a traceback was printed"] if "Traceback" in errors else []
    for name, document in documents.items():
        reason = document.reason or ""
        if document.status == "failed":
            shown = any((document.sram, document.step_ticks, document.predict_ticks, document.accuracy))
            broken += [f"{name} failed and has figures"] if shown else []
            plain = reason and "\n" not in reason and "Traceback" not in reason
            if not plain or len(reason) > LONGEST_SENTENCE:
                broken.append(f"{name} failed without a sentence: {reason!r}")
    if code not in (0, 2, 143, -9, -15):
        broken.append(f"trainbench ended with {code}")
    last = errors.strip().splitlines()[-1:] or [""]
    if code in (2, 143) and not last[0].startswith(("trainbench: ", " ")):
        broken.append(f"trainbench ended with {code} and said {last[0]!r}")
    return broken


def descendants(mark: str) -> list[psutil.Process]:
    """Processes that were started with CHAOS_MARK=`mark`, at whatever depth, orphans too."""
    found, wanted = [], f"CHAOS_MARK={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                process = psutil.Process(int(entry.name))
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def left_processes(mark: str) -> list[str]:
    """What still runs some time after the run ended; it is ended here, to leave nothing ourselves."""
    end = time.monotonic() + END_SECONDS
    while (left := descendants(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    broken = []
    for process in left:
        try:
            broken.append(f"process {process.pid} ({process.name()}) was left")
            process.kill()
        except psutil.NoSuchProcess:
            continue
    return broken


def held_locks(out: Path) -> list[str]:
    """The folder's lock, if anybody still has it."""
    if not (out / LOCK_NAME).exists():
        return []
    lock = filelock.FileLock(out / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return ["the lock of the results folder is still held"]
    lock.release()
    return []


def unfinished_files(out: Path) -> list[str]:
    """Files of which a document was being made."""
    return [f"{path.name} was left" for path in out.glob(".*.tmp")]


def exit_code(status: int) -> int:
    """Of a wait status: the code, or minus the signal."""
    return os.waitstatus_to_exitcode(status)
