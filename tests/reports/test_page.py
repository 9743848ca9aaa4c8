"""The page as text: complete, self-contained, and nothing of a document in it as markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import pytest

from harness.errors import ResultsError
from reports import render, write_report
from reports.html import content_security_policy

HOSTILE = '</script><script>window.pwned = 1</script><img src=//evil.invalid/x onerror="pwned=1">\'{{7*7}}'


class Elements(HTMLParser):
    """Counts elements and collects attributes of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.attributes: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def parsed(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    return elements


def test_the_title(factory: ModuleType) -> None:
    runs = [factory.document("full", "host", 0)]
    assert "<title>people-detection: training on microcontrollers</title>" in render(runs)
    assert "<title>A &amp; B</title>" in render(runs, title="A & B")


def test_the_order_of_sections(factory: ModuleType) -> None:
    page = render(factory.documents())
    assert re.findall(r'<section id="([a-z-]+)">', page) == [
        *("verdict", "comparison", "accuracy-sram", "memory", "operators", "learning", "provenance"),
    ]


def test_nothing_is_loaded_from_anywhere(factory: ModuleType) -> None:
    found = parsed(render(factory.documents()))
    assert not [entry for entry in found.attributes if entry[1] in ("src", "srcset", "action", "data")]
    links = {value for _, name, value in found.attributes if name == "href"}
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert not {"iframe", "object", "embed", "img", "form", "base"} & set(found.tags)


def test_plotly_is_there_once_and_all_scripts_are_in_the_policy(factory: ModuleType) -> None:
    page = render(factory.documents())
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(scripts) == 2
    assert sum("plotly.js v" in script for script in scripts) == 1
    policy = content_security_policy(*scripts)
    assert policy.replace("'", "&#39;") in page
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]


def test_no_string_of_a_document_becomes_markup(factory: ModuleType) -> None:
    harmless = factory.documents()
    plain = parsed(render(harmless))
    spared = parsed(render([factory.hostile(run, HOSTILE, spare="method") for run in harmless]))
    assert spared.tags == plain.tags
    everywhere = parsed(render([factory.hostile(run, HOSTILE) for run in harmless]))
    assert set(everywhere.tags) <= set(plain.tags)
    assert everywhere.tags["script"] == plain.tags["script"]
    assert not [name for _, name, _ in everywhere.attributes if name.startswith("on")]


def test_hostile_strings_reach_the_page(factory: ModuleType) -> None:
    """The test above would pass on a page that shows nothing of a document."""
    page = render([factory.hostile(run, "<wound>") for run in factory.documents()])
    assert page.count("&lt;wound&gt;") > 100
    assert "\\u0026lt;wound\\u0026gt;" in page
    assert "<wound>" not in page


def test_the_same_documents_give_the_same_page(factory: ModuleType) -> None:
    documents = factory.documents()
    assert render(documents) == render(documents[::-1])


def test_write_report(factory: ModuleType, tmp_path: Path) -> None:
    for number, run in enumerate(factory.documents()):
        (tmp_path / f"{number}.run.json").write_text(run.model_dump_json(), encoding="utf-8")
    path = write_report(tmp_path)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == render(factory.documents())
    assert {entry.suffix for entry in tmp_path.iterdir()} == {".json", ".html"}


def test_a_folder_without_documents(tmp_path: Path) -> None:
    with pytest.raises(ResultsError):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []
