"""Names of guards say whether they live."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from harness.farm.naming import GuardName


def test_round_trip_and_life() -> None:
    ours = GuardName.ours()
    assert GuardName.parse(str(ours)) == ours
    assert not ours.dead
    assert replace(ours, start=ours.start + 1).dead
    assert replace(ours, boot="00000000").dead
    child = subprocess.Popen(["true"])
    child.wait()
    assert replace(ours, pid=child.pid).dead


def test_what_cannot_be_seen_is_left_alone() -> None:
    ours = GuardName.ours()
    assert not replace(ours, host="elsewhere", boot="00000000").dead
    assert not replace(ours, space=ours.space + 1, start=1).dead


def test_people_are_no_guards() -> None:
    assert GuardName.parse("desk/alice") is None
    assert GuardName.parse("desk/trainbench") is None
