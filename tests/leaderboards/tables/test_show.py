"""`flowgauge show`: text, JSON and CSV of a store."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.tables.show import render

from ..conftest import keep
from .conftest import few


@pytest.fixture
def url(tmp_path: Path) -> str:
    store = Store(str(tmp_path / "store"))
    for one in few():
        keep(store, one)
    return store.url


def test_text_fits_the_width_and_says_what_failed(url: str):
    text = render(url)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.split()[:5] == ["1", "influence-patterns", ".750", ".650–.850", "8"] for line in lines)
    assert "conductance failed: ran out of memory." in text
    assert any(line.split() == ["(original)", "1.000", "1.000–1.000", "8"] for line in lines)
    assert any(line.split()[:3] == ["random", "e", ".55"] and "± .03" in line for line in lines)
    assert "share a is counted exactly" in text


def test_json_has_null_for_what_is_missing(url: str):
    text = render(url, "json")
    data = json.loads(text)
    assert "NaN" not in text
    (table,) = data["tasks"]
    assert data["ranked_by"] == "ablated_accuracy/embedding/matched/predicted"
    assert [row["label"] for row in table["rows"]] == ["attention", "influence-patterns", "random", "conductance"]
    assert table["rows"][3]["cells"]["accuracy"] == {
        "value": None,
        "low": None,
        "high": None,
        "count": 0,
        "undefined": 0,
        "spread": None,
        "reason": "ran out of memory.",
    }
    assert data["paper"][0]["gold"]["Pi_+^e"][0]["value"] == 0.96


def test_csv_is_long(url: str):
    rows = list(csv.DictReader(io.StringIO(render(url, "csv"))))
    found = {(row["method"], row["metric"], row["variant"]): row["value"] for row in rows}
    assert found["influence-patterns", "path_share@1", "embedding"] == "0.06"
    assert [row["reason"] for row in rows if row["method"] == "conductance"] == ["ran out of memory."]


def test_refusals(tmp_path: Path, url: str):
    with pytest.raises(UsageError, match="there is no store"):
        render(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no results yet"):
        render(str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="text, json or csv"):
        render(url, "xml")  # type: ignore[arg-type]
