"""Score tables: what they refuse, how they order, and what is read from a store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.stored.comparable_cells import groups
from flowgauge.leaderboards.stored.score_table import ScoreTable, metrics_of, ranked_score, read_scores, without_version
from flowgauge.metrics.scores import COLUMNS
from flowgauge.metrics.statistics.intervals import t_intervals
from flowgauge.metrics.statistics.units import Units, moments

from ..conftest import record, rows, score, write

NAN = np.nan


def table(*scores, higher=True) -> ScoreTable:
    return ScoreTable(tuple("abcdefgh"[: len(scores)]), np.array(scores, float), ("x",) * len(scores[0]), higher)


def test_a_table_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        ScoreTable(("a",), np.zeros((1, 2)), ("x", "x", "x"))


def test_clusters_are_as_many_as_instances_or_none() -> None:
    with pytest.raises(ValueError, match="2 instances needs as many clusters or none, got 1"):
        ScoreTable(("a",), np.zeros((1, 2)), ("x", "x"), clusters=("p",))


def test_a_table_of_clusters_has_the_interval_units_and_counts_of_clusters() -> None:
    values = np.array([[1.0, 0.5, 0.25, 4.0, 2.0], [1.0, 1.0, NAN, 1.0, 0.0]])
    clustered = ScoreTable(("a", "b"), values, ("x",) * 5, clusters=("p", "p", "q", "q", ""))
    of_sums = Units(np.array([[1.5, 4.25, 2.0]]), np.array([2.0, 2.0, 1.0]), np.zeros(3, int))
    low, high = t_intervals(moments(of_sums))
    assert clustered.mean_intervals()[0].tolist() == pytest.approx([1.55, low.item(), high.item()])
    assert (clustered.cluster_counts, clustered.common_clusters) == ([3, 3], 3)
    assert sorted(clustered.units().sums[0].tolist()) == [1.5, 2.0, 4.0] and sorted(clustered.units().sizes.tolist()) == [1, 1, 2]
    assert clustered.narrow(["b"]).clusters == clustered.clusters
    assert table([1, 2]).cluster_counts == [None] and table([1, 2]).common_clusters is None


def test_clusters_are_read_and_their_column_is_left_out_where_there_are_none(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    kept, plain = (score(name, {"auc": 0.5}, ranked="auc") for name in ("kept", "plain"))
    drawn = rows([1.0, 0.0, 0.5, 0.25], "auc", draws=2)
    named = drawn.assign(cluster=["p", "p", "q", "q", "p", "p", "", ""])
    write(store, record("drawn", [kept, plain], instances=4), {"kept@1": named, "plain@1": drawn})
    (group,) = groups(store.records())
    assert read_scores(store, group, "kept").table.clusters == ("p", "q", "p", "")
    assert read_scores(store, group, "plain").table.clusters == ("",) * 4
    (stored,) = store.records()
    columns = [pq.read_schema(store.find(stored).scores_path(f"{name}@1")).names for name in ("kept", "plain")]
    assert columns == [list(COLUMNS), [name for name in COLUMNS if name != "cluster"]]
    assert list(store.find(stored).rows("plain@1").columns) == list(COLUMNS)
    assert store.find(stored).rows("kept@1")["cluster"].tolist() == named["cluster"].tolist()


def test_scores_by_seed_reach_intervals_and_units(tmp_path: Path) -> None:
    """The hand-computed table of `tests/metrics/statistics/test_seeds.py`, in one condition."""
    store, by_seed = Store(str(tmp_path / "store")), np.array([[1.0, 2, 3, 6], [2, 4, 3, 7], [3, 3, 3, 11]])
    for seed, values in enumerate(by_seed):
        kept = score("kept", {"all": values.mean()}, ranked="all")
        write(store, record("drawn", [kept], seed=seed, instances=4), {"kept@1": rows(values).assign(condition="x")})
    write(store, record("plain", [kept], instances=4), {"kept@1": rows([1.0, 0, 1, 0]).assign(condition="x")})
    (group,) = groups(store.records())
    scores = read_scores(store, group, "kept").table
    assert list(scores.by_seed) == ["drawn"] and sorted(scores.by_seed["drawn"].tolist()) == by_seed.tolist()
    drawn = scores.methods.index("drawn")
    known, seeds = moments(scores.units()), scores.units().seeds
    assert known.variance[drawn] == pytest.approx(66 / 3 / 12 + 8 / 2 / 12 - 10 / 6 / 12)
    assert seeds is not None and seeds.variance[1 - drawn] == 0
    low, high = t_intervals(known)
    assert scores.mean_intervals()[drawn].tolist() == pytest.approx([4, low[drawn], high[drawn]])
    assert scores.narrow(["plain"]).units().seeds is None
    assert scores.narrow(["plain", "drawn"]).units().seeds.variance.tolist() == [0, seeds.variance[drawn]]


def test_order_shares_ranks_and_knows_which_end_is_better() -> None:
    means = np.array([3.0, 1.0, 3.0])
    assert table([0], [0], [0]).order(means).tolist() == [1.5, 3, 1.5]
    assert table([0], [0], [0], higher=False).order(means).tolist() == [2.5, 1, 2.5]


def test_means_are_over_the_common_instances_and_counts_over_all() -> None:
    scores = table([1, 0, NAN], [1, NAN, 0])
    assert scores.common.tolist() == [True, False, False]
    assert scores.common_means().tolist() == [1, 1] and scores.counts == [2, 2]


def test_narrowing_keeps_the_order_asked_for() -> None:
    narrowed = table([1, 2], [3, 4], [5, 6]).narrow(["c", "a"])
    assert narrowed.methods == ("c", "a") and narrowed.values.tolist() == [[5, 6], [1, 2]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One method with two draws an instance and one without scores; `other` ranks lower as better."""
    store = Store(str(tmp_path / "store"))
    kept = score("kept", {"auc": 0.5}, ranked="auc", unit="share", higher_is_better=False)
    write(store, record("drawn", [kept], instances=3), {"kept@1": rows([1.0, NAN, 0.5], "auc", draws=2)})
    write(store, record("unscored", [score("late", {"all": 0.0})], instances=3), {"late@1": rows([0.0] * 3)})
    return store


def test_draws_are_averaged_and_missing_scores_have_a_reason(store: Store) -> None:
    (group,) = groups(store.records())
    stored = read_scores(store, group, "kept")
    np.testing.assert_array_equal(stored.table.values, [[1.0, NAN, 0.5]])
    assert stored.instances == ("i000", "i001", "i002") and stored.table.conditions == ("S", "P", "S")
    assert stored.missing == {"unscored": "not scored with kept"} and stored.table.higher_is_better is False
    assert read_scores(store, group, "kept", "none").missing["drawn"] == "kept has no rows of none an instance"


def test_the_ranked_variant_is_that_of_the_first_cell_that_has_the_metric(store: Store) -> None:
    (group,) = groups(store.records())
    score = ranked_score(group, "kept")
    assert score is not None and (score.ranked, score.higher_is_better, score.unit) == ("auc", False, "share")
    assert ranked_score(group, "absent") is None
    assert sorted(metrics_of([group])) == ["kept", "late"]


def test_a_version_is_left_out_where_the_plain_name_means_the_same_scores() -> None:
    fixture = Path(__file__).parents[2] / "fixtures" / "store-3"
    records = list(Store(str(fixture)).records())
    (default, *_) = [each for record in records for each in record.scores.values()]
    assert default.metric != default.name == without_version(default.metric, records)
    assert without_version(default.name, records) == default.name
    assert without_version(f"{default.name}@99", records) == f"{default.name}@99"
    other = default.model_copy(update={"metric": f"{default.metric}-0123abcd"})
    both = [records[0].model_copy(update={"scores": {each.metric: each for each in (default, other)}})]
    assert without_version(other.metric, both) == other.metric and without_version(default.metric, both) == default.name


def test_units_are_named_by_their_cluster_or_instance() -> None:
    table = ScoreTable(("m",), np.array([[1.0, 2.0, np.nan, 4.0]]), ("x",) * 4, instances=("d", "a", "b", "c"))
    assert table.unit_names() == ("d", "a", "c") and ScoreTable(("m",), np.ones((1, 1)), ("x",)).unit_names() == ()
    clustered = replace(table, clusters=("p", "", "p", "p"))
    sums = dict(zip(clustered.unit_names(), clustered.units().sums[0].tolist(), strict=True))
    assert sums == {"p": 5.0, "a": 2.0}
