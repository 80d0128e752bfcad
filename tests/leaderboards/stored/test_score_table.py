"""Score tables: what they refuse, how they order, and what is read from a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.stored.comparable_cells import groups
from flowgauge.leaderboards.stored.score_table import ScoreTable, metrics_of, ranked_score, read_scores

from ..conftest import record, rows, score, write

NAN = np.nan


def table(*scores, higher=True) -> ScoreTable:
    return ScoreTable(tuple("abcdefgh"[: len(scores)]), np.array(scores, float), ("x",) * len(scores[0]), higher)


def test_a_table_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        ScoreTable(("a",), np.zeros((1, 2)), ("x", "x", "x"))


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
