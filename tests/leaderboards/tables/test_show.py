"""`flowgauge show`: text, JSON and CSV of a store; formats of numbers, notes, and what stands below a table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.tables.columns import COLUMNS
from flowgauge.leaderboards.tables.entries import TableEntry
from flowgauge.leaderboards.tables.show import Notes, _interval, as_text, number, render
from flowgauge.leaderboards.tables.task_tables import TableRow, TaskTable

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
        "bias": None,
        "clusters": None,
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


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [(0.98765, "share", ".988"), (1.23e-6, "small", "1.2e-06"), (12.345, "number", "12.3"), (-0.25, "share", "-.250")],
)
def test_numbers_have_the_format_of_their_column(value, form, text) -> None:
    assert number(value, form) == text


def test_the_same_reason_has_one_note_and_a_dash_needs_none() -> None:
    notes = Notes()
    assert [notes.mark(reason) for reason in ("no words.", "not run", "no heads.", "no words.")] == ["n/a¹", "-", "n/a²", "n/a¹"]
    assert notes.lines() == ["¹ n/a: no words.", "² n/a: no heads."]


def shown(ranked_on: int | None, counts: tuple[int, int], seeds: int = 1) -> str:
    rows = [
        TableRow(rank=index + 1, label=name, cells=_cells(count), seeds=seeds if index == 0 else 1)
        for index, (name, count) in enumerate(zip("ab", counts, strict=True))
    ]
    table = TaskTable(model="m", task="t", instances=40, note="", rows=tuple(rows), beside={}, ranked_on=ranked_on)
    return as_text([table], [])


def _cells(count: int) -> dict[str, TableEntry]:
    return {column.key: TableEntry(reason="not run") for column in COLUMNS} | {"accuracy": TableEntry(0.5, 0.4, 0.6, count)}


def test_a_line_says_on_how_many_instances_the_ranks_rest_where_methods_have_others_too() -> None:
    assert "ranks are of the 30 instances that every ranked method has a score of" in shown(30, (30, 40))
    assert "ranks are of" not in shown(40, (40, 40)) and "ranks are of" not in shown(None, (40, 40))
    assert "no instance has a score of every method, so none is ranked" in shown(0, (20, 20))


def test_a_line_says_how_many_seeds_were_averaged() -> None:
    assert "a: mean of 3 seeds" in shown(40, (40, 40), seeds=3) and "seeds" not in shown(40, (40, 40))


def test_a_line_says_what_was_trained_once() -> None:
    rows = tuple(TableRow(1, name, _cells(9), trained_once="trained once (seed 0): what follows") for name in "ab")
    table = TaskTable(model="m", task="t", instances=40, note="", rows=rows, beside={})
    assert "  a, b: trained once (seed 0): what follows.\n" in as_text([table], []) + "\n"


def test_a_line_says_what_a_training_warns_of() -> None:
    rows = tuple(TableRow(1, name, _cells(9), training_warnings="it has not converged") for name in "ab")
    table = TaskTable(model="m", task="t", instances=40, note="", rows=rows, beside={})
    assert "  a, b: it has not converged.\n" in as_text([table], []) + "\n"


def test_a_bias_that_shows_is_noted():
    notes = Notes()
    assert _interval(TableEntry(0.2, 0.22, 0.26, 40, bias=-0.03), notes) == ".220–.260¹"
    assert _interval(TableEntry(0.2, 0.15, 0.26, 40, bias=-0.005), notes) == ".150–.260"
    few = TableEntry(0.2, count=9, undefined=1, reason="no word; an interval needs 12 instances, and there are 9.")
    assert _interval(few, notes) == "n/a²"
    assert notes.lines()[0] == "¹ interval corrected for a bias of -0.030"
    assert notes.lines()[1].startswith("² n/a: no word; an interval needs")
