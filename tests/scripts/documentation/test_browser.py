"""The built documentation in a browser: light, dark and on a phone; nothing from elsewhere, no serious fault of accessibility.

It reads what `make docs` wrote into results/docs. Screenshots are kept in the folder that `FLOWGAUGE_SCREENSHOTS` names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser
SITE = Path(__file__).resolve().parents[3] / "results" / "docs"
if not (SITE / "index.html").is_file():
    pytest.skip("the documentation is not built: make docs.", allow_module_level=True)
PAGES = ("index", "start", "how-to/benchmark-my-method", "methods/influence-patterns", "metrics/ablated_accuracy", "results")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 375)])
def test_pages_can_be_read(browser: Any, scheme: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    asked, faults = list[str](), list[Any]()
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    for name in PAGES:
        page.goto(f"file://{SITE}/{name}.html")
        page.wait_for_timeout(500)  # colours fade in
        found = [v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
        faults += [(name, v["id"], v["nodes"][0]["html"]) for v in found]
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), name
        if folder := os.environ.get("FLOWGAUGE_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/docs-{name.replace('/', '-')}-{scheme}-{width}.png")
    context.close()
    assert faults == []
    assert len(asked) > len(PAGES) and all(url.startswith(("file://", "data:", "blob:")) for url in asked)
