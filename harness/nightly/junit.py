"""A nightly as JUnit XML: a suite for each entry of the plan, and one for what was compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from harness.nightly.document import NightlyDocument
from harness.results.document import RunDocument
from harness.results.regression_document import Change, RegressionDocument

JUNIT_FILE = "junit.xml"
_WORSE = ("regression", "changed")
_ABSENT = ("missing", "failed")


def junit_xml(
    nightly: NightlyDocument,
    cells: Sequence[Sequence[RunDocument]],
    comparison: RegressionDocument | None,
) -> str:
    """`cells`: those of each entry.

    <failure>: a regression or a fault of the trainer. <error>: infrastructure. <skipped>: has no room.
    """
    root = Element("testsuites", name=nightly.title)
    for entry, documents in zip(nightly.entries, cells, strict=True):
        cases = [_cell_case(run) for run in documents]
        if entry.status == "failed":
            case = Element("testcase", classname=entry.name, name="the suite as a whole")
            kind = "failure" if entry.failure == "trainer" else "error"
            SubElement(case, kind, message=_printable(entry.reason))
            cases.append(case)
        _suite(root, entry.name, cases)
    if comparison is not None:
        _suite(root, f"compared with {comparison.base}", list(_comparison_cases(comparison)))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: Element, name: str, cases: Sequence[Element]) -> None:
    counts = {
        kind: sum(case.find(tag) is not None for case in cases)
        for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    attributes = {"name": name, "tests": str(len(cases))}
    attributes |= {kind: str(count) for kind, count in counts.items()}
    suite = SubElement(root, "testsuite", attributes)
    suite.extend(cases)


def _cell_case(run: RunDocument) -> Element:
    case = Element(
        "testcase",
        classname=f"{run.suite}.{run.target}",
        name=f"{run.method}, seed {run.seed}",
        time=f"{run.provenance.duration_seconds:.3f}",
    )
    if run.retries:
        properties = SubElement(case, "properties")
        for attempt in run.retries:
            SubElement(properties, "property", name="retry", value=_printable(attempt.error))
    if run.status == "not-run":
        SubElement(case, "skipped", message=_printable(run.reason))
    elif run.status == "failed":
        kind = "error" if run.failure == "infrastructure" else "failure"
        SubElement(case, kind, message=_printable(run.reason))
    return case


def _comparison_cases(comparison: RegressionDocument) -> Iterator[Element]:
    """One case a cell, failed where any of its figures is worse."""
    for where, group in groupby(comparison.changes, key=lambda change: change.where):
        changes = list(group)
        case = Element("testcase", classname="compare", name=where)
        for kind, verdicts in (("failure", _WORSE), ("error", _ABSENT)):
            found = [change for change in changes if change.verdict in verdicts]
            if found:
                SubElement(case, kind, message=_printable("; ".join(map(_sentence, found))))
                break
        else:
            if all(change.how is None for change in changes):
                note = "; ".join(f"{change.verdict}: {change.note}" for change in changes)
                SubElement(case, "skipped", message=_printable(note))
        yield case


def _sentence(change: Change) -> str:
    values = "" if change.base is None and change.head is None else f" from {change.base} to {change.head}"
    return f"{change.figure}{values} ({'; '.join(filter(None, [change.verdict, change.note]))})"


def _printable(text: str) -> str:
    """XML has no control characters."""
    return "".join(character if character.isprintable() or character in "\n\t" else "?" for character in text)
