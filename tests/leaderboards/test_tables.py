"""Tables of hand-made records: exact numbers, ranks, reasons."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest

from flowgauge.benchmark.store.record import Record, Score
from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.stored.comparable_cells import find_score, groups
from flowgauge.leaderboards.tables.columns import RANKED
from flowgauge.leaderboards.tables.paper_table import paper_tables
from flowgauge.leaderboards.tables.show import render
from flowgauge.leaderboards.tables.task_tables import task_tables
from flowgauge.leaderboards.tables.terminal import as_text
from flowgauge.metrics.scores import Aggregate

from .conftest import keep, record, score

RANKED_VARIANT = RANKED[1]
NO_ROWS = Store("memory://no-rows")
"""Has no scores of single instances, so that stored means are ranked."""


def accuracy(value: float, gold: float = 0.9, **more: object) -> Score:
    return score("ablated_accuracy", {RANKED_VARIANT: (value, value - 0.1, value + 0.1), "embedding/matched/gold": gold, **more})


def few() -> list[Record]:
    patterns = accuracy(
        0.75, 0.96, **{"attention/matched/gold": 0.5, "attention/matched/predicted": 0.25, "original": 1.0, "chance": 0.5}
    )
    spread = Aggregate(variant="embedding/matched/gold", value=0.55, low=0.5, high=0.6, count=8, sd_draws=0.03)
    return [
        record("influence-patterns", [patterns, score("path_share", {"embedding": 0.06, "attention": 1.8e-6})]),
        record(
            "attention",
            [
                accuracy(0.75),
                Score(
                    metric="concentration@1",
                    name="concentration",
                    version=1,
                    settings={},
                    status="not-applicable",
                    reason="no influence.",
                ),
            ],
        ),
        record("random", [score("ablated_accuracy", {RANKED_VARIANT: 0.5, "embedding/matched/gold": spread})]),
        record("conductance", status="failed", error="ran out of memory.", instances=0, cost=None),
    ]


def test_methods_are_ranked_by_the_predicted_guide_and_ties_share_a_rank():
    (table,) = task_tables(NO_ROWS, few())
    assert [(row.rank, row.label) for row in table.rows] == [
        (1, "attention"),
        (1, "influence-patterns"),
        (3, "random"),
        (None, "conductance"),
    ]
    cell = table.rows[1].cells["accuracy"]
    assert (cell.value, cell.low, cell.high) == pytest.approx((0.75, 0.65, 0.85)) and cell.count == 8
    assert table.rows[1].cells["seconds"].value == 0.5
    assert {name: cell.value for name, cell in table.beside.items()} == {"original": 1.0, "chance": 0.5}


def test_a_missing_number_has_its_reason():
    (table,) = task_tables(NO_ROWS, few())
    rows = {row.label: row for row in table.rows}
    assert rows["attention"].cells["concentration+"].reason == "no influence."
    assert rows["attention"].cells["heads"].reason == "ablated_accuracy has no variant attention/matched/predicted"
    assert rows["random"].cells["path_share"].reason == "not scored with path_share"
    assert rows["conductance"].cells["accuracy"].reason == "ran out of memory."
    assert math.isnan(rows["conductance"].cells["seconds"].value)


def test_an_undefined_aggregate_is_no_number():
    undefined = Aggregate(
        variant=RANKED_VARIANT, value=math.nan, low=math.nan, high=math.nan, count=0, undefined=8, reason="no word."
    )
    (table,) = task_tables(NO_ROWS, [record("attention", [score("ablated_accuracy", {RANKED_VARIANT: undefined})])])
    assert table.rows[0].rank is None and table.rows[0].cells["accuracy"].reason == "no word."


def divergence(value: float) -> Score:
    return score(
        "ground_truth_divergence", {"hidden_js": (value, value - 0.01, value + 0.01), "words_js": 0.5},
        ranked="hidden_js", higher_is_better=False, unit="nats",
    )  # fmt: skip


def test_metrics_without_a_column_of_their_own_have_one_and_rank_where_nothing_was_ablated():
    refused = Score(
        metric="ground_truth_divergence@1", name="ground_truth_divergence", version=1, settings={}, status="not-applicable",
        reason="no scores of hidden states.",
    )  # fmt: skip
    kept = score("share_masked", {"hard": 0.4}, ranked="hard", unit="share of states")
    runs = [record("far", [divergence(0.3)]), record("none", [refused]), record("near", [kept, divergence(0.1)])]
    (table,) = task_tables(NO_ROWS, runs)
    assert [(row.rank, row.label) for row in table.rows] == [(1, "near"), (2, "far"), (None, "none")]
    assert table.ranked_by == "ground_truth_divergence" and {c.key for c in table.scores} == {table.ranked_by, "share_masked"}
    assert table.rows[2].cells[table.ranked_by].reason == "no scores of hidden states."
    lines = as_text([table], []).splitlines()
    assert any(line.split()[:5] == ["1", "near", ".100", ".090–.110", "8"] for line in lines)
    assert any(line.split()[:2] == ["none", "n/a¹"] for line in lines) and "  ¹ n/a: no scores of hidden states." in lines
    assert "  ground_truth_divergence: hidden_js, nats; lower is better" in lines
    assert "  share_masked: hard, share of states" in lines and not any("accuracy" in line for line in lines)


def test_where_methods_were_ablated_other_metrics_stand_beside_the_ranking():
    runs = [record("one", [accuracy(0.5), divergence(0.1)]), record("two", [accuracy(0.7), divergence(0.3)])]
    (table,) = task_tables(NO_ROWS, runs)
    assert [(row.rank, row.label) for row in table.rows] == [(1, "two"), (2, "one")] and table.ranked_by == "accuracy"
    text = as_text([table], [])
    assert "accuracy" in text and ".300" in text and max(map(len, text.splitlines())) <= 100


def test_a_metric_that_is_called_as_a_column_is_has_one_of_its_own():
    named = score("accuracy", {"all": 0.25}, ranked="all", higher_is_better=True)
    (table,) = task_tables(NO_ROWS, [record("attention", [accuracy(0.75), named])])
    cells = table.rows[0].cells
    assert (cells["accuracy"].value, cells["accuracy@1"].value, table.ranked_by) == (0.75, 0.25, "accuracy")


def test_runs_on_other_instances_stand_apart():
    runs = [record("attention", [accuracy(0.5)]), record("attention", [accuracy(0.7)], limit=10, instances=10)]
    tables = task_tables(NO_ROWS, runs)
    assert [(t.note, [r.label for r in t.rows]) for t in tables] == [("limit 10", ["attention"]), ("", ["attention"])]
    assert paper_tables(runs)[0].gold["attention"][0].value == 0.9


def test_cells_of_one_method_are_told_apart():
    (group,) = groups([record("random", seed=0), record("random", seed=1), record("attention")])
    assert group.labels == ("random:seed=0", "random:seed=1", "attention")
    (group,) = groups(
        [record("beam", settings={"k": 1, "rule": "x"}), record("beam", settings={"k": 2, "rule": "x"}, cell="1" * 12)]
    )
    assert group.labels == ("beam:k=1", "beam:k=2")
    (group,) = groups([record("mine", cell="a" * 12), record("mine", cell="b" * 12)])
    assert group.labels == ("mine #aaaaaa", "mine #bbbbbb")


def test_default_settings_and_later_versions_come_first():
    def one(metric: str, version: int) -> Score:
        return Score(metric=metric, name="m", version=version, settings={})

    scores = [one("m@1", 1), one("m@3-abcdef01", 3), one("m@2", 2)]
    found = find_score(record("attention", scores), "m")
    assert found is not None and found.metric == "m@2"


def test_the_published_shape():
    tasks = [record("attention", [accuracy(0.1, 0.2)], task=task) for task in ("ra/ga", "mine", "sva/subj")]
    (table,) = paper_tables([*few(), *tasks])
    assert table.tasks == ("sva/obj", "sva/subj", "ra/ga", "mine")
    first = {title: cells[0] for title, cells in table.gold.items()}
    assert (first["Pi_+^e"].value, first["Pi_+^a"].value, first["share e"].value) == (0.96, 0.5, 0.06)
    assert first["share a (1e-6)"].value == pytest.approx(1.8)
    assert (first["random e"].value, first["random e"].spread) == (0.55, 0.03)
    assert first["repl_skip"].reason == "not run"
    assert [cell.value for cell in table.gold["attention"]] == [0.9, 0.2, 0.2, 0.2]
    assert [cell.value for cell in table.predicted["attention"]] == [0.75, 0.1, 0.1, 0.1]
    assert "original" not in table.predicted


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


def test_ranked_by_the_variant_that_the_metric_ranks_by():
    from flowgauge.metrics.nodes.ablated_accuracy import RANKED as variant

    assert variant == RANKED_VARIANT
