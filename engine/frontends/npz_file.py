"""The project's own backbone format: a NumPy `.npz` archive, without pickles.

Entry `manifest` holds JSON text (`engine/frontends/manifest.py`) as uint8; every layer has entries
`<layer>.weight` int8 OIHW, `<layer>.bias` int32 and `<layer>.weight_scales` float32.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from engine.errors import NetworkFileError
from engine.frontends.archive import Archive
from engine.frontends.backbone import Backbone
from engine.frontends.manifest import ARRAY_FIELDS, build, describe, named_arrays, parse_manifest

MANIFEST_ENTRY = "manifest.npy"
_LITTLE_ENDIAN = {"|i1", "|u1", "<i4", "<f4"}


def write_npz(backbone: Backbone, path: Path) -> None:
    """Write `backbone`, whole or not at all; the same backbone gives the same bytes."""
    manifest = np.frombuffer(describe(backbone).model_dump_json().encode(), dtype=np.uint8)
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, manifest=manifest, **dict(named_arrays(backbone)))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_npz(archive: Archive) -> Backbone:
    """Return the backbone in `archive`, checked."""
    manifest = parse_manifest(_array(archive, MANIFEST_ENTRY, np.dtype(np.uint8)).tobytes())
    expected = {MANIFEST_ENTRY}

    def array(name: str) -> np.ndarray:
        expected.add(f"{name}.npy")
        return _array(archive, f"{name}.npy", ARRAY_FIELDS[name.rpartition(".")[2]])

    backbone = build(manifest, array)
    surplus = sorted(set(archive.names) - expected)
    if surplus:
        raise NetworkFileError(f"the archive holds an entry {surplus[0]!r} that its manifest does not name")
    return backbone


def _array(archive: Archive, entry: str, dtype: np.dtype[np.generic]) -> np.ndarray:
    """Parse one `.npy` entry without ever allocating more than the entry itself holds."""
    content = archive.read(entry)
    stream = io.BytesIO(content)
    try:
        if npy_format.read_magic(stream) != (1, 0):
            raise NetworkFileError(f"entry {entry!r} is a NumPy file of another version than 1.0")
        shape, fortran, found = npy_format.read_array_header_1_0(stream)
    except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError) as error:
        reason = str(error).partition("\n")[0]
        raise NetworkFileError(f"entry {entry!r} has no valid NumPy header: {reason}") from error
    if found.str not in _LITTLE_ENDIAN or found != dtype or fortran:
        raise NetworkFileError(
            f"entry {entry!r} holds {found} in {'Fortran' if fortran else 'C'} order, "
            f"expected {dtype} in C order"
        )
    if (
        any(length < 0 for length in shape)
        or math.prod(shape) * dtype.itemsize != len(content) - stream.tell()
    ):
        raise NetworkFileError(
            f"entry {entry!r} announces {dtype} {shape}, but {len(content) - stream.tell()} bytes follow"
        )
    return np.frombuffer(content, dtype=dtype, offset=stream.tell()).reshape(shape)
