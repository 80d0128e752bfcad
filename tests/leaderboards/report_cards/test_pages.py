"""Cards as text, Markdown, HTML and JSON: the same numbers, and nothing undefined without a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.report_cards.cards import ReportCard, ReportCards, report_cards
from flowgauge.leaderboards.report_cards.pages import (
    cards_table,
    correlation_table,
    notes,
    number,
    write_pages,
)


@pytest.fixture(scope="module")
def all_cards(known_store: str) -> ReportCards:
    return report_cards(known_store)


@pytest.fixture(scope="module")
def cards(all_cards: ReportCards) -> tuple[ReportCard, ...]:
    return all_cards.cards


def test_a_row_a_metric(cards) -> None:
    rows = cards_table(cards).set_index("metric")
    assert list(rows.index) == ["ground_truth", "copy", "error", "dice", "constant", "share"]
    assert rows.loc["copy", "power, noise 1"].startswith("1.00") and rows.loc["copy", "truth"] == "1.00"
    assert rows.loc["share", "power, noise 1"] == rows.loc["share", "truth"] == rows.loc["share", "operators"] == "-"
    assert set(rows["tasks"]) == {"5"}
    assert rows.loc["dice", "level"] == number(cards[3].level)


def test_what_is_undefined_has_a_line(cards) -> None:
    lines = list(notes(cards))
    assert "truth of share: the metric says of no end that it is better." in lines
    assert "truth of ground_truth, copy: the truth itself." in lines
    assert "sufficiency" in lines[-1] and "ground_truth," not in lines[-1]


def test_correlations_are_symmetric(cards) -> None:
    table = correlation_table(cards)
    assert table.loc["copy", "error"] == table.loc["error", "copy"] == table.loc["copy", "copy"] == 1
    assert table.loc["copy", "share"] != table.loc["copy", "share"]


def test_pages_hold_the_same_table(all_cards, cards, tmp_path: Path) -> None:
    paths = {path.suffix: path for path in write_pages(all_cards, tmp_path / "out")}
    assert set(paths) == {".md", ".html", ".json", ".png", ".svg"}
    text, page = paths[".md"].read_text(), paths[".html"].read_text()
    for cell in cards_table(cards)["level"]:
        assert cell in text and cell in page
    on = "Measured on planted/0, planted/1, planted/2, planted/3, planted/4, with 24 instances each; 4 methods were ordered."
    assert on in text and on in page
    assert page.count("<svg") == 1 and "<script" not in page and not re.search(r'(src|href)="http', page)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another folder with --out"):
        write_pages(all_cards, tmp_path / "file")
