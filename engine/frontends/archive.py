"""Reads zip archives from untrusted sources: bounded in size, and every fault a NetworkFileError."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from types import TracebackType

from engine.errors import NetworkFileError

MAXIMUM_BYTES = 64 * 1024 * 1024
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
    """A zip file held in memory. Neither the file nor all that is read from it may exceed `maximum_bytes`."""

    def __init__(self, path: Path, maximum_bytes: int = MAXIMUM_BYTES) -> None:
        self._zip = _open_zip(path, maximum_bytes)
        entries = self._zip.infolist()
        if len(entries) > MAXIMUM_ENTRIES:
            raise NetworkFileError(f"the archive has {len(entries)} entries, more than {MAXIMUM_ENTRIES}")
        self.names = tuple(entry.filename for entry in entries)
        if len(set(self.names)) != len(self.names):
            raise NetworkFileError("the archive holds two entries of the same name")
        self._left = maximum_bytes

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def read(self, name: str) -> bytes:
        """Return the decompressed entry, its checksum verified."""
        try:
            with self._zip.open(name) as entry:
                content = entry.read(self._left + 1)
        except KeyError:
            raise NetworkFileError(f"the archive has no entry {name!r}") from None
        except _ZIP_FAULTS as error:
            raise NetworkFileError(f"entry {name!r} of the archive cannot be read: {error}") from error
        if len(content) > self._left:
            raise NetworkFileError(
                f"entry {name!r} of the archive unpacks to more than the {self._left} bytes left"
            )
        self._left -= len(content)
        return content


def _open_zip(path: Path, maximum_bytes: int) -> zipfile.ZipFile:
    try:
        with path.open("rb") as file:
            content = file.read(maximum_bytes + 1)
    except OSError as error:
        raise NetworkFileError(f"it cannot be read: {error.strerror or error}") from error
    if len(content) > maximum_bytes:
        raise NetworkFileError(f"it is larger than {maximum_bytes} bytes")
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except _ZIP_FAULTS as error:
        raise NetworkFileError(f"it is not a whole zip archive ({error})") from error
