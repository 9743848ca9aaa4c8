from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import ResultsError
from harness.results.paper import (
    FILE_NAME,
    Line,
    Own,
    PaperDocument,
    Published,
    load_paper,
    load_runs,
    save_paper,
)


def document(**changes: object) -> PaperDocument:
    published = Published(
        place="T, row r, column c", table="T", title="t", row="r", column="c", value=2.0, unit="MB"
    )
    own = Own(value=1024**2, unit="bytes", kind="measured", target="qemu", runs=("a.run.json",))
    line = Line(network="n", method="m", figure="peak_sram", status="done", published=published, own=own)
    fields = {"suite": "s", "title": "t", "description": "d", "paper": "p", "lines": (line,)}
    return PaperDocument.model_validate({**fields, **changes})


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    save_paper(tmp_path, document())
    found = load_paper(tmp_path)
    assert found == document()
    assert found.lines[0].difference == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a paper document"),
        ('{"schema_version": 2}', "not a paper document of schema version 1"),
        ('{"schema_version": 1}', "not a valid paper document: suite"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_broken_one_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(ResultsError) as caught:
        load_paper(tmp_path)
    assert problem in str(caught.value)
    assert FILE_NAME in str(caught.value)


def test_a_figure_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = save_paper(tmp_path, document())
    fields = json.loads(path.read_text())
    fields["lines"][0]["own"]["value"] = float("nan")
    path.write_text(json.dumps(fields))
    with pytest.raises(ResultsError, match=r"lines\.0\.own\.value"):
        load_paper(tmp_path)


def test_runs_outside_of_the_folder_are_not_read(tmp_path: Path) -> None:
    for name in ("../secret.run.json", "/etc/passwd"):
        with pytest.raises(ResultsError, match="outside of its folder"):
            load_runs(tmp_path, document(runs=(name,)))
