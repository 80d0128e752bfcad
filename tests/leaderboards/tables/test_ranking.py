"""The one ranking behind `show`, `compare` and the site: shared instances, averaged seeds, exact means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.leaderboards.comparison.method_comparison import compare_group
from flowgauge.leaderboards.stored.comparable_cells import ComparableCells, groups
from flowgauge.leaderboards.tables.columns import RANKED
from flowgauge.leaderboards.tables.ranking import rank_methods
from flowgauge.leaderboards.tables.task_tables import TableRow, task_tables
from flowgauge.metrics.summary import summarise

from ..conftest import record, rows, score, write

NAN = np.nan


def stored(folder: Path, values: Mapping[str, Any], lower: bool = False, **fields: Any) -> Store:
    """A store of methods with these scores an instance; `name/1` is the method's cell of seed 1."""
    store = Store(str(folder / "store"))
    for name, scores in values.items():
        method, _, seed = name.partition("/")
        mean = float(np.nanmean(scores))
        summary = score("kept", {"all": mean}, ranked="all", unit="share", higher_is_better=not lower)
        seed_fields = {"seed": int(seed)} if seed else {}
        write(store, record(method, [summary], instances=len(scores), **seed_fields, **fields), {"kept@1": rows(scores)})
    return store


def group_of(store: Store) -> ComparableCells:
    (group,) = groups(store.records())
    return group


def shown(store: Store) -> dict[str, TableRow]:
    (table,) = task_tables(store, store.records())
    return {row.label: row for row in table.rows}


def test_ranks_rest_on_the_instances_that_all_methods_share(tmp_path: Path) -> None:
    """`picky` has the better mean over its own instances, and is worse where both have a score."""
    store = stored(tmp_path, {"picky": [NAN, 1, 1, 0.4, 0.4], "thorough": [0, 0, 1, 1, 1]})
    ranking = rank_methods(store, group_of(store), "kept")
    assert ranking.scores.methods == ("thorough", "picky") and ranking.places == {"thorough": 1, "picky": 2}
    assert ranking.shared == 4 and ranking.scores.counts == [5, 4]
    assert ranking.means[:, 0].tolist() == pytest.approx([0.6, 0.7])
    (table,) = task_tables(store, store.records())
    assert [(row.rank, row.label) for row in table.rows] == [(1, "thorough"), (2, "picky")] and table.ranked_on == 4
    assert [row.cells[table.ranked_by].count for row in table.rows] == [5, 4]


def test_a_method_with_scores_of_few_instances_has_no_rank_and_moves_no_other(tmp_path: Path) -> None:
    others = {"good": [1, 1, 1, 0, 0], "fair": [0, 0, 0, 1, 1]}
    store = stored(tmp_path, {**others, "few": [NAN, NAN, 1, 1, 1]})
    ranking = rank_methods(store, group_of(store), "kept")
    reason = "too few: scores of 3 of 5 instances; a rank needs 80 %"
    assert ranking.places == {"good": 1, "fair": 2} and ranking.missing == ranking.too_few == {"few": reason}
    assert shown(store)["few"].rank is None and shown(store)["few"].error == reason
    result = CliRunner().invoke(app, ["show", store.url])
    assert f"few without a rank: {reason}" in result.stdout
    result = CliRunner().invoke(app, ["compare", store.url, "--metric", "kept", "--method", "good", "--method", "few"])
    assert result.exit_code == 2 and f"few: {reason}" in result.stderr


def test_equal_means_share_a_place_and_lower_may_be_better(tmp_path: Path) -> None:
    store = stored(tmp_path, {"a": [1, 1], "b": [0, 1], "c": [1, 0]}, lower=True)
    ranking = rank_methods(store, group_of(store), "kept")
    assert ranking.places == {"b": 1, "c": 1, "a": 3}


def test_seeds_of_a_method_take_one_row_and_their_mean(tmp_path: Path) -> None:
    store = stored(tmp_path, {"steady": [1, 1, 0, 0], "drawn/0": [1, 1, 1, 1], "drawn/1": [0, 1, 0, 0]})
    rows_by_label = shown(store)
    assert rows_by_label.keys() == {"drawn", "steady"}
    drawn, steady = rows_by_label["drawn"], rows_by_label["steady"]
    assert (drawn.rank, drawn.seeds, steady.rank, steady.seeds) == (1, 2, 2, 1)
    assert drawn.cells["kept"].value == 0.625, "the mean of 1 and 0.25"
    # Time is averaged over the cells, and counts the explanations of both.
    assert (drawn.cells["seconds"].value, drawn.cells["seconds"].count) == (0.5, 16)


def test_show_and_compare_print_the_same_order_means_and_intervals(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = {
        name: (rng.random(40) < share).astype(float) for name, share in (("a", 0.4), ("b/0", 0.6), ("b/1", 0.7), ("c", 0.9))
    }
    values["a"][:5] = NAN
    store = stored(tmp_path, values)
    comparison = compare_group(store, group_of(store), "kept")
    assert comparison is not None
    table = shown(store)
    assert tuple(table) == comparison.scores.methods
    for index, name in enumerate(comparison.scores.methods):
        entry = table[name].cells["kept"]
        assert [entry.value, entry.low, entry.high] == comparison.means[index].tolist()
        assert table[name].rank == comparison.places[name] == comparison.ranks.rank[index]


def test_methods_without_a_shared_instance_are_shown_without_a_rank(tmp_path: Path) -> None:
    store = stored(tmp_path, {"odd": [1, NAN], "even": [NAN, 1]})
    assert rank_methods(store, group_of(store), "kept").places == {}
    table = shown(store)
    assert {label: (row.rank, row.cells["kept"].value) for label, row in table.items()} == {
        "even": (None, 1),
        "odd": (None, 1),
    }


def test_an_edited_method_stays_apart_from_what_it_was(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    for source, scores in (("aa", [1, 1]), ("bb", [0, 0])):
        summary = score("kept", {"all": float(scores[0])}, ranked="all", higher_is_better=True)
        mine = record("mine", [summary], instances=2, cell=source * 6)
        mine = mine.model_copy(update={"key": {**mine.key, "method": {"name": "mine", "source": source}}})
        write(store, mine, {"kept@1": rows(scores)})
    assert {label: row.rank for label, row in shown(store).items()} == {"mine #aaaaaa": 1, "mine #bbbbbb": 2}


def test_only_named_methods_are_ranked(tmp_path: Path) -> None:
    store = stored(tmp_path, {"a": [1, NAN], "b": [0, 1], "c": [0, 0]})
    ranking = rank_methods(store, group_of(store), "kept", methods=["b", "c"])
    assert ranking.scores.methods == ("b", "c") and ranking.shared == 2


def test_the_published_board_is_ranked_as_its_stored_means_are(published_board) -> None:
    """One seed and no undefined score: shared instances and averaged seeds change neither order nor mean; a control is apart."""
    group = groups(published_board.records)[0]
    ranking = rank_methods(published_board, group, *RANKED)
    means = {label: cell.ranked_aggregate.value for label, (r,) in group.by_method().items()
             if (cell := r.scores[f"{RANKED[0]}@1"]).status == "done"}  # fmt: skip
    assert len(means) == 24 and ranking.shared == group.instances == 64
    assert ranking.control_means[:, 0].tolist() == [means.pop("repl-skip")]
    assert dict(zip(ranking.scores.methods, ranking.means[:, 0], strict=True)) == pytest.approx(means, abs=1e-12)
    assert ranking.places == {label: 1 + sum(other > mean for other in means.values()) for label, mean in means.items()}


def test_a_control_stands_below_its_method_without_a_rank(tmp_path: Path) -> None:
    values = {"repl-skip": [1, 1, 1, 1], "conductance": [0, 0, 0, 0], "influence-patterns": [1, 0, 1, 0]}
    store = stored(tmp_path, values)
    ranking = rank_methods(store, group_of(store), "kept")
    assert ranking.places == {"influence-patterns": 1, "conductance": 2}
    assert ranking.missing == {"repl-skip": "a control of influence-patterns, without a rank"}
    assert ranking.controls.methods == ("repl-skip",) and ranking.control_means[0, 0] == 1
    (table,) = task_tables(store, store.records())
    assert [(row.rank, row.label) for row in table.rows] == [(1, "influence-patterns"), (None, "repl-skip"), (2, "conductance")]
    named = rank_methods(store, group_of(store), "kept", methods=["repl-skip", "conductance"])
    assert named.places == {"repl-skip": 1, "conductance": 2} and not named.controls.methods


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 2, 0, 4, 1, 3]])
def test_one_mean_has_one_interval_whatever_the_order_of_the_rows(tmp_path: Path, order: list[int]) -> None:
    """What a run prints is the aggregate that it stores; `show` and `compare` compute theirs from the rows."""
    table = rows([0.1, 0.9, 0.4, 0.4, 0.7, 0.2]).iloc[order]
    stored_score = score("kept", {"all": 0.45}, ranked="all", unit="share", higher_is_better=True)
    (aggregate,) = summarise(table)
    store = Store(str(tmp_path / "store"))
    for method in ("a", "b"):
        summary = stored_score.model_copy(update={"aggregates": (aggregate,)})
        write(store, record(method, [summary], instances=6), {"kept@1": table})
    ranking = rank_methods(store, group_of(store), "kept")
    assert ranking.means[0].tolist() == pytest.approx([aggregate.value, aggregate.low, aggregate.high], rel=1e-12)
    assert 0.1 < ranking.means[0, 1] < 0.45 < ranking.means[0, 2] < 1.1
