"""Built sites, and pages read as a browser would read them."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tests.leaderboards.report_cards.conftest import made
from tests.leaderboards.synthetic import hostile_store, synthetic_store

from flowgauge.leaderboards.report_cards.card_file import to_json
from flowgauge.leaderboards.report_cards.cards import report_cards
from flowgauge.leaderboards.reproduction.report_file import StoredGap, StoredNumber, StoredReport, StoredRow, StoredTable
from flowgauge.leaderboards.site.build import build


def need_charts() -> None:
    """Skips a test where the packages for charts are not installed."""
    for package in ("altair", "vl_convert"):
        pytest.importorskip(package, reason=f"the site's charts need {package}: pip install 'flowgauge[site]'.")


class Page(HTMLParser):
    """What a page holds, as a browser would see it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.tags, self.data = path, list[tuple[str, dict[str, str | None]]](), list[Any]()
        self.rows, self.cells, self._json, self._open, self._row = list[str](), list[list[dict[str, str]]](), False, False, False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        fields = dict(attrs)
        self.tags.append((tag, fields))
        self._json = tag == "script" and fields.get("type") == "application/json"
        if tag == "tr" and "data-label" in fields:
            self.rows.append(fields["data-label"])
            self.cells.append([])
            self._row = True
        if tag == "td" and self._row:
            self._open = True
            self.cells[-1].append({"sort": fields.get("data-sort", ""), "text": ""})

    def handle_endtag(self, tag):
        self._json = False
        self._open = self._open and tag != "td"
        self._row = self._row and tag != "tr"

    def handle_data(self, data):
        if self._json:
            self.data.append(json.loads(data))
        elif self._open:
            self.cells[-1][-1]["text"] += data

    def addresses(self) -> list[str]:
        return [address for _, fields in self.tags for name in ("href", "src") if (address := fields.get(name))]


def pages(folder: Path) -> list[Page]:
    return [Page(path) for path in sorted(folder.rglob("*.html"))]


def paper_file(folder: Path, name: str = "toy-paper") -> Path:
    """The report of a paper as `flowgauge reproduce` writes it: a table that was measured in part, and one that was not."""
    near = StoredNumber(
        value=0.52, low=0.41, high=0.63, count=16, published=0.5, ours="0.52 [0.41, 0.63]", theirs="0.50", verdict="within",
        why="",
    )  # fmt: skip
    far = near.model_copy(update={"published": 0.9, "theirs": "0.90", "verdict": "outside", "why": "smaller model"})
    lacking = StoredNumber(
        value=None, low=None, high=None, count=None, published="> 0", ours="-", theirs="> 0", verdict="not run", why="no model"
    )
    rows = (StoredRow(title="near", numbers=(near, None)), StoredRow(title="far", numbers=(far, lacking)))
    nothing = (StoredRow(title="far", numbers=(lacking, lacking)),)
    titles: dict[str, Any] = {"title": "what is kept", "note": "", "columns": ("obj", "subj")}
    tables = (
        StoredTable(place="Table 1", rows=rows, reasons=("not run: no model (far, subj)",), **titles),
        StoredTable(place="Table 2", rows=nothing, reasons=("not run: no data",), **titles),
    )
    report = StoredReport(
        paper=name, title="Nobody 2000, A toy (nowhere)", summary=("3 published numbers.",), tables=tables,
        missing=(StoredGap(what="Table 3", why="it has no numbers"),),
    )  # fmt: skip
    path = folder / f"{name}.json"
    path.write_text(report.model_dump_json(), encoding="utf-8")
    return path


def cards_file(folder: Path) -> Path:
    """Report cards of metrics that know the truth or throw dice, as `flowgauge report-card` writes them."""
    path = folder / "cards.json"
    path.write_text(to_json(report_cards(made(folder / "known", tasks=2))), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def real_site(honest: Path, tmp_path_factory) -> tuple[str, Path]:
    """A store of two methods on the embedded model, and its site."""
    need_charts()
    store = str(honest.parent / "store")
    out = tmp_path_factory.mktemp("sites") / "real"
    build([store], out)
    return store, out


@pytest.fixture(scope="session")
def synthetic_site(tmp_path_factory) -> tuple[str, Path]:
    """Six methods on three tasks, two seeds each, and the site."""
    need_charts()
    folder = tmp_path_factory.mktemp("made")
    store = synthetic_store(folder / "store", 6, 3, 2)
    build([store], folder / "site")
    return store, folder / "site"


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    return hostile_store(tmp_path / "hostile")
