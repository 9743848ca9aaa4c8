"""A BACKBONE argument: a file or a shipped network's name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.backbones import EMBEDDED_BACKBONE
from harness.backbones import backbone_file, backbone_names
from harness.errors import UsageError


def test_a_file_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = backbone_names()[0]
    assert backbone_file(name) == EMBEDDED_BACKBONE.parent / f"{name}.npz"
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(b"")
    assert backbone_file(name) == Path(name)


def test_neither_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(UsageError, match=EMBEDDED_BACKBONE.stem):
        backbone_file("moon")
