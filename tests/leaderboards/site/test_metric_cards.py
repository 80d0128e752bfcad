"""The page of the metrics' report cards: every number of the cards, an address a metric, and links from the board's tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from tests.leaderboards.report_cards.conftest import made
from typer.testing import CliRunner

from flowgauge.cli import app
from flowgauge.leaderboards.report_cards.card_file import read_cards
from flowgauge.leaderboards.report_cards.cards import ReportCards
from flowgauge.leaderboards.report_cards.pages import cards_table
from flowgauge.leaderboards.site.build import build
from flowgauge.leaderboards.site.metric_cards import CardRow, anchor_of, card_rows, cards_sheet

from .conftest import Page, cards_file, need_charts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cards")


@pytest.fixture(scope="module")
def cards(folder: Path) -> ReportCards:
    return read_cards(cards_file(folder))


def test_rows_are_by_truth_and_have_an_address_each(cards: ReportCards) -> None:
    rows = card_rows(cards)
    truths = [row.card.truth.value for row in rows if row.card.truth.value == row.card.truth.value]
    assert truths == sorted(truths, reverse=True) and rows[-1].card.metric == "share"
    assert len({row.anchor for row in rows}) == len(rows)
    shown = cards_table(cards.cards).set_index("metric")
    assert all(row.cells["level"] == shown.loc[row.card.metric, "level"] for row in rows)


def test_a_metric_is_found_by_the_settings_that_its_card_names(cards: ReportCards) -> None:
    (row, *others) = card_rows(cards)

    def named(metric: str) -> list[CardRow]:
        return [replace(row, card=replace(row.card, metric=metric), anchor="here"), *others]

    assert anchor_of(named("kept:operator=zero"), "kept", {"operator": "zero", "steps": 10}) == "metrics.html#here"
    assert anchor_of(named("kept:operator=zero"), "kept", {"operator": "mask"}) == ""
    assert anchor_of(named("kept@2"), "kept", {}) == "metrics.html#here"
    assert anchor_of(others, "kept", {}) == ""


def test_the_downloaded_table_has_every_number(cards: ReportCards) -> None:
    sheet = cards_sheet(cards)
    data = sheet.data.set_index("metric")
    for card in cards.cards:
        pd.testing.assert_series_equal(
            data.loc[card.metric, ["level", "level low", "level high", "noise_95"]].astype(float),
            pd.Series([card.level.value, card.level.low, card.level.high, card.noise_95], dtype=float),
            check_index=False, check_names=False,
        )  # fmt: skip
        for kind, mean in card.power.items():
            assert data.loc[card.metric, f"power {kind}"] == pytest.approx(mean.value, nan_ok=True)
    assert next(name for name in data if name.startswith("power")) == "power oracle:noise=1"
    assert "planted/0, planted/1" in sheet.caption


def test_the_site_has_the_page_and_links_only_where_there_are_cards(cards: ReportCards, folder: Path) -> None:
    need_charts()
    store = made(folder / "board", tasks=1)
    built = CliRunner().invoke(
        app, ["leaderboard", "build", store, "--out", str(folder / "site"), "--report-cards", str(folder / "cards.json")]
    )
    assert built.exit_code == 0, built.output
    page = Page(folder / "site" / "metrics.html")
    assert {fields["id"] for tag, fields in page.tags if tag == "tr" and "id" in fields} == {r.anchor for r in card_rows(cards)}
    task = Page(next((folder / "site" / "tasks").glob("*.html")))
    assert "../metrics.html#dice" in task.addresses() and "../metrics.html" in task.addresses()
    drawn = next(fields["src"] for tag, fields in page.tags if tag == "img")
    assert (folder / "site" / str(drawn)).stat().st_size > 5_000
    build([store], folder / "plain")
    assert not (folder / "plain" / "metrics.html").exists()
    assert not any("metrics.html" in a for p in (folder / "plain").rglob("*.html") for a in Page(p).addresses())
    refused = CliRunner().invoke(
        app, ["leaderboard", "build", store, "--out", str(folder / "site"), "--report-cards", str(folder / "site/files.json")]
    )
    assert refused.exit_code == 2 and "holds no report cards" in refused.stderr
    assert (folder / "site" / "metrics.html").exists(), "the site that was there stays"
