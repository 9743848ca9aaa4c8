"""Which file a command's BACKBONE argument means."""

from __future__ import annotations

from pathlib import Path

from fixtures.backbones import EMBEDDED_BACKBONE
from harness.errors import UsageError


def backbone_names() -> list[str]:
    """Names of the networks that ship with the project, sorted."""
    return sorted(path.stem for path in EMBEDDED_BACKBONE.parent.glob("*.npz"))


def backbone_file(text: str) -> Path:
    """`text` as a file, or the file of the shipped network of that name; UsageError where it is neither."""
    path = Path(text).expanduser()
    if path.is_file():
        return path
    if text in backbone_names():
        return EMBEDDED_BACKBONE.parent / f"{text}.npz"
    raise UsageError(
        f"there is no network file {text} and no shipped network of that name; shipped are:"
        f" {', '.join(backbone_names())}"
    )
