"""Tables of hand-made records: exact numbers, ranks, reasons."""

from __future__ import annotations

import math

import pytest

from flowgauge.benchmark.store.record import Score
from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.tables.paper_table import paper_tables
from flowgauge.leaderboards.tables.show import as_text
from flowgauge.leaderboards.tables.task_tables import task_tables
from flowgauge.metrics.scores import Aggregate

from ..conftest import record, score
from .conftest import RANKED_VARIANT, accuracy, few

NO_ROWS = Store("memory://no-rows")
"""Has no scores of single instances, so that stored means are ranked."""


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
