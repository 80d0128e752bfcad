"""Explained texts and results in a browser, opened from disk: tabs, light and dark, narrow screens, accessibility.

Screenshots are kept in the folder that `FLOWGAUGE_SCREENSHOTS` names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.leaderboards.synthetic import synthetic_store

from flowgauge.benchmark.store.store import Store
from flowgauge.display.page import write_page
from flowgauge.display.results import Results
from flowgauge.methods.explanation import Explanation

from .conftest import EDGES, HEADS, NODES, TOKENS

pytestmark = pytest.mark.browser


@pytest.fixture
def page_of(browser: Any, by_hand: Any, tmp_path: Path) -> Any:
    """Opens the page of an explained text."""

    def opened(scheme: str = "light", width: int = 1000) -> Any:
        both = Explanation(tokens=TOKENS.tokens, nodes=NODES.nodes)
        write_page(by_hand(both=both, mine=HEADS, edges=EDGES, notes=("A note.",)), tmp_path / "page.html")
        page = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 700}).new_page()
        page.goto(f"file://{tmp_path}/page.html")
        return page

    return opened


def keep(page: Any, name: str) -> None:
    if folder := os.environ.get("FLOWGAUGE_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def findings(page: Any) -> list[str]:
    """What axe-core finds, as rule and element."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python.").Axe()
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in axe.run(page).response["violations"]]


def test_each_tab_shows_its_panel_by_mouse_and_by_keyboard(page_of) -> None:
    page = page_of()
    shown = lambda: [p.get_attribute("aria-label") for p in page.locator("section").all() if p.is_visible()]  # noqa: E731
    assert shown() == ["Words"]
    for tab in ("Nodes", "Heads", "Edges", "Graphs"):
        page.click(f"label:text-is('{tab}')")
        assert shown() == [tab]
        keep(page, f"explained-{tab.lower()}")
    page.click("label:text-is('Words')")
    page.keyboard.press("ArrowRight")
    assert shown() == ["Nodes"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_found_in_either_theme(page_of, scheme) -> None:
    page = page_of(scheme)
    for tab in ("Words", "Nodes", "Heads", "Edges", "Graphs"):
        page.click(f"label:text-is('{tab}')")
        assert findings(page) == []
    page.click("label:text-is('Words')")
    keep(page, f"explained-{scheme}")


def test_a_narrow_screen_scrolls_no_page(page_of) -> None:
    page = page_of(width=380)
    page.click("label:text-is('Nodes')")
    keep(page, "explained-narrow")
    assert page.evaluate("document.documentElement.scrollWidth") <= 380


def test_the_page_follows_the_notebooks_theme(page_of) -> None:
    page = page_of("light")
    paper = lambda: page.evaluate("getComputedStyle(document.querySelector('.flowgauge')).backgroundColor")  # noqa: E731
    light = paper()
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    dark = paper()
    page.emulate_media(color_scheme="dark")
    page.evaluate("document.body.dataset.jpThemeLight = 'true'")
    assert light == paper() == "rgb(255, 255, 255)" != dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_results_are_found_in_order(browser, tmp_path, scheme) -> None:
    url = synthetic_store(tmp_path / "made", 4, 2, 1)
    html = Results(url, tuple(Store(url).records())).to_html()
    whole = f"<!doctype html><html lang=en><title>Results</title><meta charset=utf-8><main>{html}</main>"
    (tmp_path / "results.html").write_text(whole)
    page = browser.new_context(color_scheme=scheme).new_page()
    page.goto(f"file://{tmp_path}/results.html")
    keep(page, f"results-{scheme}")
    assert [rule for rule in findings(page) if not rule.startswith("page-has-heading-one")] == []
