"""Run documents on disk: one JSON file for each (suite, target, method, seed), replaced atomically."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

from pydantic import ValidationError

from harness.disk import refusal
from harness.errors import ResultsError
from harness.results.document import SCHEMA_VERSION, RunDocument

SUFFIX = ".run.json"
INPUTS_DIGEST = "inputs_digest"
"""Key in `RunDocument.notes`: SHA-256 of everything that determines the result, for resuming."""

MAXIMUM_BYTES = 64 * 1024 * 1024
"""No run document comes near this; a larger file is not one."""


def file_name(suite: str, target: str, method: str, seed: int) -> str:
    """A name that is stable, unique, and safe in every file system: other characters become %XX."""
    parts = (suite, target, method, f"seed{seed}")
    return "__".join(_safe(part) for part in parts) + SUFFIX


def _safe(text: str) -> str:
    """Percent-encode all but letters, digits, dot and hyphen, so that `__` separates."""
    return re.sub(
        r"[^A-Za-z0-9.-]", lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text
    )


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8): a reader sees the old file or the whole new one.

    ResultsError where the disk is full, broken or read-only.
    """
    try:
        _write_atomically(path, text)
    except OSError as error:
        # What fails here is often a write to a descriptor, of which the error does not say the file.
        error.filename = str(path)
        known = refusal(error)
        if known is None:
            raise
        raise known from error


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def save_document(folder: Path, document: RunDocument) -> Path:
    """Store `document` in `folder` (created if missing), replacing the one of the same cell; its path."""
    path = folder / file_name(document.suite, document.target, document.method, document.seed)
    write_atomically(path, document.model_dump_json(indent=1) + "\n")
    return path


def load_document(path: Path) -> RunDocument:
    """Read one run document; ResultsError names the file when it is broken or of another schema version."""
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise ResultsError(f"{path} is {path.stat().st_size} bytes long, too long for a run document")
        text = path.read_text(encoding="utf-8")
        fields = json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{path} is not valid JSON ({error}); delete it and run the cell again") from error
    if not isinstance(fields, dict) or "schema_version" not in fields:
        raise ResultsError(f"{path} is not a run document: it has no schema_version")
    if fields["schema_version"] != SCHEMA_VERSION:
        raise ResultsError(
            f"{path} has schema version {fields['schema_version']!r}, this trainbench reads version"
            f" {SCHEMA_VERSION}; run the suite again into a new folder"
        )
    try:
        return RunDocument.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ResultsError(f"{path} is not a valid run document: {where}: {first['msg']}") from error


def load_documents(folder: Path) -> list[RunDocument]:
    """All run documents of `folder` by file name; ResultsError when there is no such folder or none in it."""
    if not folder.is_dir():
        raise ResultsError(f"{folder} is not a folder; `trainbench run SUITE --out {folder}` makes one")
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise ResultsError(
            f"{folder} has no run documents (*{SUFFIX}); `trainbench run SUITE --out {folder}` writes them"
        )
    return [load_document(path) for path in paths]


def find_finished(
    folder: Path, suite: str, target: str, method: str, seed: int, inputs_digest: str
) -> RunDocument | None:
    """The stored document of this cell if it is done and was made from the same inputs, else None.

    A broken file counts as not finished: the cell is run again and its file replaced.
    """
    path = folder / file_name(suite, target, method, seed)
    if not path.is_file():
        return None
    try:
        document = load_document(path)
    except ResultsError:
        return None
    same_cell = (document.suite, document.target, document.method, document.seed) == (
        suite,
        target,
        method,
        seed,
    )
    same_inputs = document.notes.get(INPUTS_DIGEST) == inputs_digest
    return document if same_cell and same_inputs and document.status == "done" else None
