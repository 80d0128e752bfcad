"""Links of the repository become links of the site."""

from __future__ import annotations

import re

import pytest

from documentation.hook import ROOT, decisions, decisions_page, moved


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [
        ("CHANGELOG.md", "[a](docs/intervals.md)", "[a](intervals.md)"),
        ("CHANGELOG.md", "[a](benchmark/engine/run.py)", "a (`benchmark/engine/run.py`)"),
        ("docs/results.md", "[card](../models/zoo/agreement-bert/README.md)", "[card](agreement-bert.md)"),
        ("docs/how-to/add-a-metric.md", "[C](../../CONTRIBUTING.md)", "[C](../contributing.md)"),
        ("docs/concepts/trust.md", "[P](../publishing.md#secret-seeds)", "[P](../publishing.md#secret-seeds)"),
        ("docs/start.md", "[pointing](../metrics/tokens/pointing.py)", "[pointing](metrics/pointing.md)"),
        ("docs/concepts/trust.md", "[metrics](../../metrics)", "[metrics](../metrics/index.md)"),
        ("docs/how-to/add-a-task.md", "[API](../../src/flowgauge/__init__.py)", "[API](../api.md)"),
        ("docs/index.md", "[flows](notebooks/how-information-flows.ipynb)", "[flows](notebooks/how-information-flows.md)"),
        ("docs/index.md", "[out](https://example.org)", "[out](https://example.org)"),
        ("docs/index.md", "![picture](figures/pattern.svg)", "![picture](figures/pattern.svg)"),
    ],
)
def test_links_lead_to_pages_of_the_site(source: str, link: str, expected: str) -> None:
    assert moved(source, link) == expected


def test_every_link_of_the_repository_leads_to_a_file_of_the_repository() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [
        (page.relative_to(ROOT).as_posix(), address)
        for page in pages
        for address in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
        if not re.match(r"[a-z]+:", address)
    ]
    assert len(links) > 100
    assert [(page, address) for page, address in links if not ((ROOT / page).parent / address).exists()] == []


def test_the_list_of_decisions_has_each_with_its_title() -> None:
    page = decisions_page()
    assert len(decisions()) >= 20
    assert all(f"]({path.name})" in page for path in decisions())
    assert "[2. A cell holds the explanations of the gold and of the predicted answer](0002-" in page
