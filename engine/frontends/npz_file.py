"""The project's own backbone format: a NumPy `.npz` archive, without pickles.

Entry `manifest` holds JSON text (`engine/frontends/manifest.py`) as uint8; every layer has entries
`<layer>.weight` int8 OIHW, `<layer>.bias` int32 and `<layer>.weight_scales` float32.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.errors import NetworkFileError
from engine.frontends.archive import Archive
from engine.frontends.backbone import Backbone
from engine.frontends.manifest import ARRAY_FIELDS, build, describe, named_arrays, parse_manifest
from engine.frontends.npy import parse_npy

MANIFEST_ENTRY = "manifest.npy"


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
    array = parse_npy(archive.read(entry), entry)
    if array.dtype != dtype:
        raise NetworkFileError(f"entry {entry!r} holds {array.dtype}, expected {dtype}")
    return array
