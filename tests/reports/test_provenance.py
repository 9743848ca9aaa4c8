"""Every field once, at the widest scope at which it holds."""

from __future__ import annotations

from types import ModuleType

from reports.provenance import origins


def test_scopes(factory: ModuleType) -> None:
    found = origins(factory.documents())
    shared = dict(found.shared.rows)
    assert shared["Network"] == "mcunet-5fps"
    assert shared["Working tree changed"] == "no"
    assert found.by_target is not None
    assert "Toolchain" in {row[0] for row in found.by_target.rows}
    assert "ELF SHA-256" in found.by_run.headings
    assert len(found.by_run.rows) == 30
    everywhere = [*shared, *(row[0] for row in found.by_target.rows), *found.by_run.headings[2:]]
    assert len(everywhere) == len(set(everywhere))


def test_a_dirty_tree_is_said(factory: ModuleType) -> None:
    run = factory.document("full", "host", 0)
    dirty = run.model_copy(update={"provenance": run.provenance.model_copy(update={"git_dirty": True})})
    assert dict(origins([dirty]).shared.rows)["Working tree changed"].startswith("yes")


def test_notes_are_kept(factory: ModuleType) -> None:
    run = factory.document("full", "host", 0, notes={"peer": "104.7 M"})
    assert dict(origins([run]).shared.rows)["Note: peer"] == "104.7 M"
