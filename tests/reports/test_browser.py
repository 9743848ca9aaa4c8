"""The page in a real Chromium: it draws, fits the window, asks for nothing, and hostile strings stay text."""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from reports import render

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PATIENCE = 60
"""Seconds until a browser that does not answer is given up."""

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
HOSTILE = (
    "</script><script>window.pwned = 1</script><img src=x onerror='window.pwned = 1'>"
    "<a href='javascript:window.pwned=1'>link</a><b>bold</b>%{y}$x$"
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="chromium and chromedriver are not installed: apt install chromium chromium-driver",
    ),
]

Browser = webdriver.Chrome


def end_with_parent() -> None:
    """In the driver's process: end when pytest is killed, so that no browser is left behind."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM, 0, 0, 0)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(str(DRIVER), popen_kw={"preexec_fn": end_with_parent})
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.set_page_load_timeout(PATIENCE)
        driver.set_script_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def page(factory: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory, render(factory.documents()))


def written(folders: pytest.TempPathFactory, text: str) -> Path:
    path = folders.mktemp("page") / "report.html"
    path.write_text(text, encoding="utf-8")
    return path


def show(browser: Browser, page: Path, width: int = 1280, scheme: str = "light") -> None:
    """Load `page` at `width` CSS pixels and wait for the charts."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 700}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    forget(browser)
    browser.get(page.as_uri())
    WebDriverWait(browser, PATIENCE).until(
        lambda one: one.execute_script(
            "const plots = [...document.querySelectorAll('.plot')];"
            "return plots.every((plot) => plot.querySelector('svg.main-svg'))"
        )
    )


def forget(browser: Browser) -> None:
    """Drop what earlier pages logged."""
    browser.get_log("browser")
    browser.get_log("performance")


def messages(browser: Browser) -> list[dict[str, Any]]:
    """What the developer tools said since the last call."""
    return [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]


def requested(events: list[dict[str, Any]]) -> list[str]:
    """URLs that the shown page wanted, itself included, whether or not they were let through."""
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        and event["params"]["documentURL"].startswith("file:")
    ]


def blocked(event: dict[str, Any]) -> bool:
    return event["method"] == "Network.loadingFailed" and "blockedReason" in event["params"]


def run(browser: Browser, script: str) -> Any:
    return browser.execute_script(script)


def test_no_console_message_and_no_request(browser: Browser, page: Path) -> None:
    show(browser, page)
    assert browser.get_log("browser") == []
    asked = [url for url in requested(messages(browser)) if not url.startswith("data:")]
    assert asked == [page.as_uri()]


def test_all_sections_are_there(browser: Browser, page: Path) -> None:
    show(browser, page)
    headings = run(browser, "return [...document.querySelectorAll('h2')].map((h) => h.textContent)")
    assert headings == [
        *("Verdict", "Comparison", "Accuracy against peak SRAM", "Memory map", "Ticks per operator"),
        *("Learning curves", "Provenance"),
    ]
    broken = run(
        browser,
        "const links = [...document.querySelectorAll('nav a')];"
        "return links.filter((link) => !document.querySelector(link.hash)).length",
    )
    assert broken == 0


def test_every_chart_draws_its_data(browser: Browser, page: Path) -> None:
    show(browser, page)
    drawn = run(
        browser,
        "return Object.fromEntries([...document.querySelectorAll('[data-chart]')].map((chart) =>"
        " [chart.dataset.chart, chart.querySelectorAll('.points path, path.point').length]))",
    )
    assert set(drawn) == {"tradeoff", "memory-map", "operator-ticks", "loss", "held-out"}
    assert drawn["tradeoff"] == 5
    assert min(drawn.values()) >= 5


def test_figures_are_valid_for_plotly(browser: Browser, page: Path) -> None:
    show(browser, page)
    complaints = run(
        browser,
        "return [...document.querySelectorAll('.plot')].flatMap((plot) =>"
        " (Plotly.validate(plot.data, plot.layout) || []).map((entry) => entry.msg))",
    )
    assert complaints == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("choices", ["first", "open"])
def test_the_page_never_scrolls_sideways(browser: Browser, page: Path, width: int, choices: str) -> None:
    show(browser, page, width)
    if choices == "open":
        run(browser, "document.querySelectorAll('details').forEach((part) => { part.open = true })")
    inner, scrolled = run(browser, "return [window.innerWidth, document.documentElement.scrollWidth]")
    assert inner == width
    assert scrolled <= width


def test_wide_tables_scroll_in_their_own_box(browser: Browser, page: Path) -> None:
    show(browser, page, 390)
    content, box = run(
        browser,
        "const box = document.querySelector('.comparison').parentElement;"
        "return [box.scrollWidth, box.clientWidth]",
    )
    assert content > box


def test_charts_fit_a_phone(browser: Browser, page: Path) -> None:
    show(browser, page, 390)
    widths = run(
        browser,
        "const drawings = [...document.querySelectorAll('.plot .main-svg')];"
        "return drawings.map((drawing) => drawing.getBoundingClientRect().right)",
    )
    assert widths and max(widths) <= 390


def test_choosing_a_method_changes_map_and_caption(browser: Browser, page: Path) -> None:
    show(browser, page)
    state = (
        "const chart = document.querySelector('[data-chart=memory-map]');"
        "const caption = [...chart.querySelectorAll('[data-choice]')].filter((part) => !part.hidden);"
        "return [caption.length, caption[0].textContent.trim().split(':')[0],"
        " chart.querySelectorAll('path').length]"
    )
    count, first, drawn_first = run(browser, state)
    assert (count, first) == (1, "sparse-49kb")
    run(browser, "document.querySelector('[data-chart=memory-map] input[value=\"4\"]').click()")
    count, second, drawn_second = run(browser, state)
    assert (count, second) == (1, "full")
    assert drawn_second > drawn_first


def test_dark_follows_the_system(browser: Browser, page: Path) -> None:
    probe = (
        "const text = document.querySelector('.plot .xtitle');"
        "return [getComputedStyle(document.body).backgroundColor, getComputedStyle(text).fill]"
    )
    show(browser, page, scheme="light")
    light = run(browser, probe)
    show(browser, page, scheme="dark")
    dark = run(browser, probe)
    assert light == ["rgb(255, 255, 255)", "rgb(26, 34, 48)"]
    assert dark == ["rgb(18, 22, 28)", "rgb(228, 233, 240)"]
    media = {"features": [{"name": "prefers-color-scheme", "value": "light"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    WebDriverWait(browser, PATIENCE).until(lambda one: run(one, probe) == light)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser: Browser, page: Path, scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for text, 3 to 1 for what charts are drawn with."""
    show(browser, page, scheme=scheme)
    colors = run(
        browser,
        "const style = getComputedStyle(document.documentElement);"
        "const names = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])"
        ".filter((rule) => rule.selectorText === ':root').flatMap((rule) => [...rule.style]);"
        "return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name).trim()]))",
    )
    assert len(colors) > 20
    for name in ("--ink", "--muted", "--accent", "--good", "--bad"):
        assert contrast(colors[name], colors["--page"]) >= 4.5, name
    for name in (one for one in colors if one.startswith(("--method-", "--phase-"))):
        assert contrast(colors[name], colors["--page"]) >= 3.0, name


def contrast(one: str, other: str) -> float:
    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_hostile_strings_stay_text(
    browser: Browser, factory: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> None:
    runs = [factory.hostile(one, HOSTILE) for one in factory.documents()]
    show(browser, written(tmp_path_factory, render(runs)))
    run(browser, "document.querySelectorAll('details').forEach((part) => { part.open = true })")
    assert run(browser, "return window.pwned") is None
    assert browser.get_log("browser") == []
    assert run(browser, "return document.querySelectorAll('main img, main b, .plot a').length") == 0
    assert run(browser, "return document.querySelectorAll('a[href^=javascript]').length") == 0
    legend = run(browser, "return document.querySelector('[data-chart=tradeoff] .legendtext').textContent")
    assert "<img src=x onerror='window.pwned = 1'>" in legend
    assert "%{y}$x$" in legend


def test_hostile_strings_stay_text_under_the_pointer(
    browser: Browser, factory: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Hover texts are drawn only when asked for."""
    runs = [factory.hostile(one, HOSTILE) for one in factory.documents()]
    show(browser, written(tmp_path_factory, render(runs)))
    names = run(
        browser,
        "return [...document.querySelectorAll('.plot')].map((plot) => {"
        " Plotly.Fx.hover(plot, [{ curveNumber: 0, pointNumber: 0 }]);"
        " return [...plot.querySelectorAll('.hovertext')].map((text) => text.textContent).join('') })",
    )
    assert len(names) == 5
    assert all("onerror='window.pwned = 1'>" in text for text in names)
    assert run(browser, "return document.querySelectorAll('.plot a, .plot img').length") == 0
    assert run(browser, "return window.pwned") is None


def test_the_policy_holds_where_escaping_would_fail(
    browser: Browser, factory: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A script and a picture put into the page by force: neither runs nor loads."""
    wound = "<script>window.pwned = 1</script><img src='http://127.0.0.1:9/x.png'>"
    text = render([factory.document("full", "host", 0)]).replace("</main>", f"{wound}</main>")
    show(browser, written(tmp_path_factory, text))
    assert run(browser, "return window.pwned") is None
    events = messages(browser)
    assert "http://127.0.0.1:9/x.png" in requested(events), "the other tests' eyes are shut"
    assert [event["params"]["blockedReason"] for event in events if blocked(event)] == ["csp"]
    complaints = [entry["message"] for entry in browser.get_log("browser")]
    assert sum("Content Security Policy" in complaint for complaint in complaints) == 2
