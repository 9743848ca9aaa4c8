from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ResultsError
from harness.results import store
from harness.results.document import Provenance, RunDocument, SchemeSummary


def make_document(**changes: object) -> RunDocument:
    provenance = Provenance(
        started_at="2026-01-01T00:00:00+00:00",
        duration_seconds=1.0,
        trainbench_version="0",
        git_revision=None,
        git_dirty=None,
        host="h",
        python="3",
        toolchain="gcc",
        compiler_flags=(),
        versions={},
        model_name="m",
        model_digest="0",
        dataset_name="d",
        dataset_description="d",
        dataset_digest="0",
        elf_digest="0",
        plan_digest="0",
    )
    scheme = SchemeSummary(
        method="full",
        description="",
        updated_bias_layers=0,
        updated_weight_layers=(),
        trainable_values=0,
        rounding="nearest",
        learning_rate=0.1,
        extra_memory_analytic=0,
    )
    fields = {
        "suite": "s",
        "target": "host",
        "target_title": "Host",
        "core": "x86",
        "method": "full",
        "seed": 0,
        "status": "done",
        "provenance": provenance,
        "scheme": scheme,
        "notes": {store.INPUTS_DIGEST: "abc"},
        **changes,
    }
    return RunDocument.model_validate(fields)


def test_a_saved_document_is_loaded_unchanged(tmp_path: Path) -> None:
    document = make_document(method="bias-only:12", seed=3)
    path = store.save_document(tmp_path / "new", document)
    assert store.load_documents(path.parent) == [document]


def test_saving_again_replaces_the_same_file(tmp_path: Path) -> None:
    store.save_document(tmp_path, make_document(reason="first"))
    store.save_document(tmp_path, make_document(reason="second"))
    assert [document.reason for document in store.load_documents(tmp_path)] == ["second"]


TEXT = st.text(max_size=20)


@given(st.tuples(TEXT, TEXT, TEXT, st.integers(0, 9)), st.tuples(TEXT, TEXT, TEXT, st.integers(0, 9)))
def test_file_names_are_safe_and_different_for_different_cells(
    first: tuple[str, str, str, int], second: tuple[str, str, str, int]
) -> None:
    names = {store.file_name(*first), store.file_name(*second)}
    assert len(names) == len({first, second})
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9.%_-]+", name)


def test_an_interrupted_save_leaves_the_old_document_and_no_scrap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.save_document(tmp_path, make_document(reason="old"))

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.save_document(tmp_path, make_document(reason="new"))
    assert store.load_document(path).reason == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "not valid JSON"),
        ('{"schema_version": 1', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "no schema_version"),
        ('{"schema_version": 2}', "schema version 2"),
        ('{"schema_version": 1}', "not a valid run document: suite"),
        ("\0\udcff", "cannot be read"),
    ],
)
def test_a_broken_file_is_named_in_one_sentence(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / f"x{store.SUFFIX}"
    path.write_bytes(content.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(ResultsError, match=re.escape(problem)) as caught:
        store.load_documents(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_documents_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="trainbench run"):
        store.load_documents(tmp_path)
    with pytest.raises(ResultsError, match="not a folder"):
        store.load_documents(tmp_path / "missing")


def test_only_a_done_document_of_the_same_inputs_counts_as_finished(tmp_path: Path) -> None:
    def find(digest: str = "abc") -> RunDocument | None:
        return store.find_finished(tmp_path, "s", "host", "full", 0, digest)

    assert find() is None
    path = store.save_document(tmp_path, make_document())
    assert find() == make_document()
    assert find("other") is None
    store.save_document(tmp_path, make_document(status="failed", reason="fault"))
    assert find() is None
    path.write_text("{")
    assert find() is None


def test_a_document_that_was_renamed_does_not_count_for_another_cell(tmp_path: Path) -> None:
    path = store.save_document(tmp_path, make_document())
    path.rename(tmp_path / store.file_name("s", "host", "full", 1))
    assert store.find_finished(tmp_path, "s", "host", "full", 1, "abc") is None
