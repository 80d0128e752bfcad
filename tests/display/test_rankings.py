"""The ranked tables of results: the numbers and lines of `flowgauge compare`."""

from __future__ import annotations

import pytest
from tests.leaderboards.conftest import record, score
from tests.leaderboards.synthetic import synthetic_store

from flowgauge.benchmark.store.store import Store
from flowgauge.display.rankings import metrics_in, rankings
from flowgauge.leaderboards.comparison.method_comparison import compare_methods


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three made-up methods on two tasks."""
    return Store(synthetic_store(tmp_path_factory.mktemp("made"), 3, 2, 1))


def test_tables_and_lines_are_those_of_compare(store):
    records = store.records()
    metric = metrics_in(records)[0]
    ranked, compared = rankings(store, records, metric), compare_methods(store.url, metric)
    assert [each.rows() for each in ranked] == [one.table() for one in compared] and len(ranked) == 2
    for each, one in zip(ranked, compared, strict=True):
        assert each.lines() == [line for line in one.text()[2] if line]
        assert one.text()[0].startswith(each.where)


def test_a_single_method_has_its_mean_without_a_rank(store):
    records = [record for record in store.records() if record.method == store.records()[0].method]
    metric = metrics_in(records)[0]
    (each, _) = rankings(store, records, metric)
    assert each.comparison is None
    head, row = each.rows()
    aggregate = records[0].scores[next(key for key in records[0].scores if key.startswith(metric))].ranked_aggregate
    assert head[:2] == ("method", "n") and row[0] == records[0].method
    assert float(row[2].split()[0]) == pytest.approx(aggregate.value, abs=5e-4)


def test_metrics_of_most_cells_come_first_and_then_the_ranked_one():
    ranked, one, other = (score(name, {"all": 0.5}) for name in ("ablated_accuracy", "one", "other"))
    failed = score("other", {}, status="failed", reason="no")
    records = [record("a", [other, one, ranked]), record("b", [failed, one, ranked])]
    assert metrics_in(records) == ["ablated_accuracy", "one", "other"]
