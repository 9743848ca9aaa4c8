"""Reads zip archives from untrusted sources: bounded in size, and every fault a NetworkFileError."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from types import TracebackType

from engine.errors import NetworkFileError

MAXIMUM_FILE_BYTES = 64 * 1024 * 1024
MAXIMUM_ENTRY_BYTES = 64 * 1024 * 1024
MAXIMUM_TOTAL_BYTES = 128 * 1024 * 1024
MAXIMUM_ENTRIES = 10_000
_ZIP_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,  # also what zipfile raises for encrypted entries and unknown compression
    OverflowError,
    MemoryError,
)


class Archive:
    """A zip file held in memory. Entries decompress only when read, and never to more than the limits."""

    def __init__(self, path: Path) -> None:
        self._zip = _open_zip(path)
        entries = self._zip.infolist()
        if len(entries) > MAXIMUM_ENTRIES:
            raise NetworkFileError(f"the archive has {len(entries)} entries, more than {MAXIMUM_ENTRIES}")
        self.names = tuple(entry.filename for entry in entries)
        if len(set(self.names)) != len(self.names):
            raise NetworkFileError("the archive holds two entries of the same name")
        self._left = MAXIMUM_TOTAL_BYTES

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def read(self, name: str) -> bytes:
        """Return the decompressed entry, its checksum verified."""
        limit = min(MAXIMUM_ENTRY_BYTES, self._left)
        try:
            with self._zip.open(name) as entry:
                content = entry.read(limit + 1)
        except KeyError:
            raise NetworkFileError(f"the archive has no entry {name!r}") from None
        except _ZIP_FAULTS as error:
            raise NetworkFileError(f"entry {name!r} of the archive cannot be read: {error}") from error
        if len(content) > limit:
            raise NetworkFileError(f"entry {name!r} of the archive is larger than {limit} bytes")
        self._left -= len(content)
        return content


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        with path.open("rb") as file:
            content = file.read(MAXIMUM_FILE_BYTES + 1)
    except OSError as error:
        raise NetworkFileError(f"it cannot be read: {error.strerror or error}") from error
    if len(content) > MAXIMUM_FILE_BYTES:
        raise NetworkFileError(f"it is larger than {MAXIMUM_FILE_BYTES} bytes")
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except _ZIP_FAULTS as error:
        raise NetworkFileError(f"it is not a whole zip archive ({error})") from error
