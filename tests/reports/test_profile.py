"""The page of a profile: complete, self-contained, and nothing of the document in it as markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from types import ModuleType

from harness.results.document import RunDocument
from reports.html import content_security_policy
from reports.profile import render_profile

CELL = ("sparse-49kb", "qemu-mps2-an500", 0)
HOSTILE = '</script><script>window.pwned = 1</script><img src=//evil.invalid/x onerror="pwned=1">\'{{7*7}}'


class Elements(HTMLParser):
    """Counts elements and collects names of attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes |= {name for name, _ in attrs}


def parsed(page: str) -> Elements:
    elements = Elements()
    elements.feed(page)
    return elements


def profile(factory: ModuleType, **changes: object) -> RunDocument:
    run: RunDocument = factory.document(*CELL, accuracy=None, **changes)
    return run


def test_ticks_memory_and_peak_are_on_the_page(factory: ModuleType) -> None:
    run = profile(factory)
    page = render_profile(run)
    assert re.findall(r'<section id="([a-z-]+)">', page) == ["operators", "memory", "provenance"]
    for text in ("all after the forward pass", "Instructions a MAC", "lower bound of the plan", "agent"):
        assert text in page
    assert "Buffers live at the arena&#39;s peak" in page
    assert run.plan is not None
    assert page.count(run.plan.operators[-1].name) >= 2


def test_nothing_is_loaded_and_all_scripts_are_in_the_policy(factory: ModuleType) -> None:
    page = render_profile(profile(factory))
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(scripts) == 2
    assert content_security_policy(*scripts).replace("'", "&#39;") in page
    assert not {"iframe", "object", "embed", "img", "form", "base"} & set(parsed(page).tags)
    assert not {"src", "srcset", "action"} & parsed(page).attributes


def test_no_string_of_the_document_becomes_markup(factory: ModuleType) -> None:
    run = profile(factory)
    plain, poisoned = (parsed(render_profile(one)) for one in (run, factory.hostile(run, HOSTILE)))
    assert poisoned.tags == plain.tags
    assert not [name for name in poisoned.attributes if name.startswith("on")]


def test_a_target_without_sram_says_so(factory: ModuleType) -> None:
    page = render_profile(profile(factory, sram=None))
    assert "SRAM is not measured on qemu-mps2-an500" in page
    assert "planned arena" in page
