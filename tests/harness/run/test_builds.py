from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from harness.run.builds import Builds, build_key
from harness.run.execute import Prepared


def prepared(*targets: str, profiled: tuple[str, ...] = (), refused: tuple[str, ...] = ()) -> Prepared:
    made: dict[str, Any] = dict.fromkeys(targets, "firmware")
    return Prepared(
        cast(Any, "trainer"), made, cast(Any, dict.fromkeys(profiled)), cast(Any, dict.fromkeys(refused))
    )


def test_only_what_was_not_built_is_lacking(tmp_path: Path) -> None:
    builds = Builds(tmp_path)
    assert builds.lacking("k", ("host", "board"), False) == ("host", "board")
    builds.add("k", prepared("host", refused=("board",)))
    assert builds.lacking("k", ("host", "board"), False) == ()
    assert builds.lacking("k", ("host", "board"), True) == ("host",)
    assert builds.lacking("other", ("host",), False) == ("host",)


def test_targets_add_up(tmp_path: Path) -> None:
    builds = Builds(tmp_path)
    builds.add("k", prepared("host"))
    builds.add("k", prepared("board", profiled=("board",)))
    assert builds.lacking("k", ("host", "board"), False) == ()
    assert set(builds.prepared["k"].firmware) == {"host", "board"}


def test_keys_and_folders_are_distinct(tmp_path: Path) -> None:
    builds = Builds(tmp_path)
    assert build_key({"a": 1, "b": 2}) == build_key({"b": 2, "a": 1}) != build_key({"a": 2, "b": 2})
    assert builds.folder_of("1", "x/scheme.toml") != builds.folder_of("2", "x/scheme.toml")
    assert builds.folder_of("1", "x/a b.toml").name.startswith("a-b.toml-")
