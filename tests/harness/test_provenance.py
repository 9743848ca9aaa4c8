from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness import provenance


def test_a_checkout_has_a_revision_and_knows_when_it_is_dirty(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments],
            cwd=tmp_path,
            check=True,
            capture_output=True,
        )

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "one")
    revision, dirty = provenance.git_revision(tmp_path)
    assert revision is not None
    assert len(revision) == 40
    assert dirty is False
    (tmp_path / "file").write_text("2")
    assert provenance.git_revision(tmp_path) == (revision, True)

    # Nothing is written there: a lock that we are killed with would stay.
    git("commit", "-qam", "two")
    os.utime(tmp_path / "file", (1e9, 1e9))
    index = (tmp_path / ".git" / "index").read_bytes()
    assert provenance.git_revision(tmp_path)[1] is False
    assert (tmp_path / ".git" / "index").read_bytes() == index


def test_outside_a_checkout_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert provenance.git_revision(tmp_path) == (None, None)
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert provenance.git_revision(tmp_path) == (None, None)


def test_the_source_digest_follows_content_and_name(tmp_path: Path) -> None:
    def digest() -> str:
        provenance.source_digest.cache_clear()
        return provenance.source_digest(tmp_path)

    source = tmp_path / "engine" / "a.c"
    source.parent.mkdir()
    source.write_text("int x;")
    first = digest()
    source.write_text("int y;")
    second = digest()
    source.rename(source.with_name("b.c"))
    assert len({first, second, digest()}) == 3
    provenance.source_digest.cache_clear()


def test_the_inputs_digest_does_not_depend_on_key_order() -> None:
    assert provenance.inputs_digest({"a": 1, "b": [2]}) == provenance.inputs_digest({"b": [2], "a": 1})
    assert provenance.inputs_digest({"a": 1}) != provenance.inputs_digest({"a": 2})
