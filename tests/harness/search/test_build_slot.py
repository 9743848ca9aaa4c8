from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import DeviceHang
from harness.search import build_slot
from harness.search.build_slot import replace_changed, slot


def test_only_what_changed_is_replaced(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in ("same.c", "changed.c", "gone.c"):
        (source / name).write_text(name)
    replace_changed(source, target)
    before = {path.name: path.stat().st_mtime_ns for path in target.iterdir()}
    (source / "gone.c").unlink()
    (source / "changed.c").write_text("another")
    (source / "same.c").write_text("same.c")
    replace_changed(source, target)
    assert {path.name: path.read_text() for path in target.iterdir()} == {
        "same.c": "same.c",
        "changed.c": "another",
    }
    assert (target / "same.c").stat().st_mtime_ns == before["same.c"]


def test_each_has_a_slot_of_its_own_and_gives_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_slot, "BUILD_SECONDS", 0.1)
    with slot(tmp_path, 2) as one, slot(tmp_path, 2) as other:
        assert one.folder != other.folder
        with pytest.raises(DeviceHang, match="one of 2 build folders"), slot(tmp_path, 2):
            pass
    with slot(tmp_path, 1) as again:
        assert again.folder == one.folder
