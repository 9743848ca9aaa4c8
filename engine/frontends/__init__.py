"""What users bring, read into one form: `load_backbone`."""

from __future__ import annotations

from pathlib import Path

from engine.errors import NetworkFileError
from engine.frontends.archive import Archive
from engine.frontends.backbone import Backbone
from engine.frontends.npz_file import MANIFEST_ENTRY, read_npz
from engine.frontends.tiny_training import read_tiny_training

__all__ = ["Backbone", "load_backbone"]

_PICKLE_NAME = "data.pkl"


def load_backbone(path: Path) -> Backbone:
    """Return the backbone in `path`, a tiny-training `.pkl` or a file of our own; the content decides which.

    NetworkFileError: the file is missing, truncated, hostile, of another format, or its parts do not fit.
    """
    try:
        with Archive(path) as archive:
            return _read(archive, path.stem)
    except NetworkFileError as error:
        raise NetworkFileError(f"network file {path}: {error}") from error


def _read(archive: Archive, name: str) -> Backbone:
    if MANIFEST_ENTRY in archive.names:
        return read_npz(archive)
    pickles = [entry for entry in archive.names if entry.rpartition("/")[2] == _PICKLE_NAME]
    if len(pickles) != 1:
        raise NetworkFileError(
            f"it holds neither the {MANIFEST_ENTRY!r} of a trainbench backbone nor one {_PICKLE_NAME!r} of a "
            f"tiny-training network"
        )
    return read_tiny_training(archive, pickles[0], name)
