"""Plan, verdict, JUnit XML and summary of a nightly, on documents made for the purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.errors import UsageError
from harness.nightly.document import (
    EntryResult,
    NightlyDocument,
    count_cells,
    judge,
    previous_good,
    save_nightly,
)
from harness.nightly.junit import junit_xml
from harness.nightly.plan import load_plan, overrides
from harness.nightly.run import run_nightly
from harness.nightly.summary import summary
from harness.paper.suite import paper_suite_names
from harness.results.document import RunDocument, Sections
from harness.results.regression import regression_document
from harness.results.regression_document import RegressionDocument

MakeRun = Callable[..., RunDocument]
PLAN = """
title = "Rack A"
out = "results"
base = "previous"
coordinator = "rack:20408"

[[suites]]
suite = "people-detection"
targets = ["farm:rack=a", "qemu-mps2-an386"]
seeds = [0, 1]
backbone = "net.npz"
"""
ENTRY = EntryResult(name="e", suite="s", targets=("qemu",), status="done")


def test_a_plan(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    plan = load_plan(tmp_path / "plan.toml")
    assert plan.out == tmp_path / "results"
    assert plan.base == "previous"
    found = overrides(plan, plan.suites[0], tmp_path / "here")
    assert found.backbone == tmp_path / "net.npz"
    assert found.targets == ("farm:rack=a", "qemu-mps2-an386")
    assert (found.retries, found.coordinator, found.out) == (2, "rack:20408", tmp_path / "here")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "t"', "suites"),
        ('title = "t"\nsuites = []', "suites"),
        (PLAN + "[[suites]]\nsuite = 'people-detection'\ntargets = ['host']", "two suites are named"),
        (PLAN + "color = 'red'", "suites.0.color"),
        ("=", "not valid TOML"),
    ],
)
def test_a_wrong_plan(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_plan(tmp_path / "plan.toml")


@pytest.mark.parametrize("suite", paper_suite_names())
def test_a_suite_of_the_paper_is_refused_before_anything_is_run(tmp_path: Path, suite: str) -> None:
    (tmp_path / "plan.toml").write_text(
        PLAN.replace("people-detection", suite).replace('"farm:rack=a", ', "")
    )
    plan = load_plan(tmp_path / "plan.toml")
    with pytest.raises(
        UsageError, match=f"names {suite}, a suite of the paper.*; run `trainbench run {suite}`"
    ):
        run_nightly(plan, tmp_path / "plan.toml", lambda line: None)


def test_a_suite_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(
        PLAN.replace("people-detection", "moon").replace('"farm:rack=a", ', "")
    )
    with pytest.raises(UsageError, match="no suite named 'moon'; there are: people-detection"):
        run_nightly(load_plan(tmp_path / "plan.toml"), tmp_path / "plan.toml", lambda line: None)


def sections(flash: int) -> Sections:
    return Sections(text=1, rodata=1, data=1, bss=1, flash=flash)


def compared(base: list[RunDocument], head: list[RunDocument]) -> RegressionDocument:
    return regression_document(Path("base"), Path("head"), base, head)


def test_verdicts(make_run: MakeRun) -> None:
    done = make_run(sections=sections(10))
    worse = make_run(sections=sections(11))
    lost = make_run(seed=1, status="failed", failure="infrastructure", reason="the cable")
    broken = make_run(seed=1, status="failed", failure="trainer", reason="it faults")
    unreachable = ENTRY.model_copy(
        update={"status": "failed", "failure": "infrastructure", "reason": "no coordinator"}
    )
    cases = [
        ([ENTRY], [done], None, 0),
        ([ENTRY], [done], [done], 0),
        ([ENTRY], [worse], [done], 1),
        ([ENTRY], [done, lost], None, 3),
        ([ENTRY], [worse, lost], [done], 1),
        ([ENTRY], [done, broken], None, 1),
        ([ENTRY], [done, broken], [done, broken], 3),
        ([ENTRY], [done, broken], [done, make_run(seed=1)], 1),
        ([ENTRY, unreachable], [done], None, 3),
        ([unreachable], [], None, 3),
        ([ENTRY], [make_run(status="not-run", reason="no room")], None, 3),
        ([ENTRY], [done], [done, make_run(seed=1)], 3),
    ]
    for entries, documents, base, code in cases:
        comparison = None if base is None else compared(base, documents)
        found, outcome = judge(entries, documents, comparison)
        assert found == code, (entries, documents, outcome)
        assert outcome


def nightly(**changes: object) -> NightlyDocument:
    fields = {
        "title": "Rack",
        "plan": "p",
        "commit": "c",
        "started": "s",
        "finished": "f",
        "entries": (ENTRY,),
    }
    return NightlyDocument.model_validate({**fields, "exit_code": 1, "outcome": "worse", **changes})


def test_junit_tells_failures_from_errors(make_run: MakeRun) -> None:
    done = make_run(sections=sections(10))
    head = [
        make_run(sections=sections(11), retries=({"at": "t", "error": "the cable\x00"},)),
        make_run(seed=1, status="failed", failure="infrastructure", reason="<gone>"),
        make_run(seed=2, status="failed", failure="trainer", reason="it faults"),
        make_run(seed=3, status="not-run", reason="no room"),
    ]
    root = ElementTree.fromstring(junit_xml(nightly(), [head], compared([done], head)))
    cells, comparison = root.findall("testsuite")
    assert cells.attrib == {"name": "e", "tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    assert [case.get("name") for case in cells] == [f"m, seed {seed}" for seed in range(4)]
    assert cells.find("testcase/properties/property").get("value") == "the cable?"
    assert cells.find("testcase/error").get("message") == "<gone>"
    assert comparison.find("testcase/failure").get("message").startswith("flash from 10 to 11")


def test_the_summary_says_what_matters_first(make_run: MakeRun) -> None:
    done = make_run(sections=sections(10))
    head = [
        make_run(sections=sections(11), retries=({"at": "t", "error": "a | b"},)),
        make_run(seed=1, status="failed", failure="infrastructure", reason="the cable"),
    ]
    text = summary(nightly(), head, compared([done], head))
    assert text.startswith("# Rack: regression\n")
    assert "| s: m on host, seed 0 | flash | 10 | 11 |" in text
    assert "| s: m on host, seed 1 | infrastructure | the cable |" in text
    assert "| s: m on host, seed 0 | 1 | a \\| b |" in text


def test_counts(make_run: MakeRun) -> None:
    runs = [make_run(), make_run(retries=({"at": "t", "error": "e"},)), make_run(status="failed")]
    found = count_cells(ENTRY, runs)
    assert (found.done, found.failed, found.not_run, found.unstable) == (2, 1, 0, 1)


def test_the_previous_good_nightly(tmp_path: Path) -> None:
    for name, finished, code in (
        ("a", "2026-01-01", 0),
        ("b", "2026-01-02", 0),
        ("c", "2026-01-03", 1),
        ("d", None, 0),
    ):
        save_nightly(tmp_path / name, nightly(finished=finished, exit_code=code))
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "nightly.json").write_text("{")
    assert previous_good(tmp_path, tmp_path / "x") == tmp_path / "b"
    assert previous_good(tmp_path, tmp_path / "b") == tmp_path / "a"
    assert previous_good(tmp_path / "a", tmp_path) is None
