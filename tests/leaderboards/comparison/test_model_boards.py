"""The overall order of a model: places, ties, what is left out, exact numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowgauge.benchmark.store.key import short_hash
from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.comparison.model_boards import further_orders, model_boards
from flowgauge.leaderboards.comparison.task_boards import read_task_boards
from flowgauge.leaderboards.submission.board_reader import open_board

from ..conftest import record, rows, score, write


def test_the_overall_order_is_of_mean_ranks_and_equal_ones_share_a_place(board) -> None:
    model = board[1]
    by_method = dict(zip(model.methods, model.places, strict=True))
    assert by_method == {"good": 1, "fair": 1, "poor": 3}
    assert dict(zip(model.methods, model.overall.rank, strict=True)) == {"good": 1.5, "fair": 1.5, "poor": 3}
    assert model.accuracy("good") == pytest.approx(0.7) and model.seconds("good") == 0.5
    assert model.methods_without() == {}


def test_without_a_task_the_other_decides(board) -> None:
    without_obj, without_subj = board[1].left_out("task")
    assert (without_obj.name, without_obj.first) == ("sva/obj", ("fair",)) and without_subj.first == ("good",)
    assert board[1].left_out("metric") == [], "one metric counts"


METRICS = {"kept": {"good": 36, "fair": 20, "poor": 4}, "told": {"good": 20, "fair": 36, "poor": 4}}
"""Instances of 40 on which a method is right, by metric."""


def enter(
    store: Store, method: str, counts: Mapping[str, int], task: str = "sva/obj", limit: int | None = None, **settings: int
) -> None:
    """Writes the cell of a method that is right on so many instances, by metric."""
    scores = [score(name, {"all": n / 40}, ranked="all", higher_is_better=True) for name, n in counts.items()]
    values = {f"{name}@1": rows((np.arange(limit or 40) < n).astype(float)) for name, n in counts.items()}
    cell = short_hash([method, task, limit, settings])
    one = record(method, scores, task=task, limit=limit, instances=limit or 40, settings=settings, cell=cell)
    key = {**one.key, "method": {**one.key["method"], "settings": settings}}
    write(store, one.model_copy(update={"key": key}), values)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three methods with two metrics on one task."""
    store = Store(str(tmp_path / "store"))
    for method in ("good", "fair", "poor"):
        enter(store, method, {metric: counts[method] for metric, counts in METRICS.items()})
    return store


def order_of(store: Store) -> tuple[dict[str, tuple[float, float, float]], dict[str, str]]:
    """Mean rank and interval of each ranked method, and why the others are unranked."""
    (model,) = model_boards(read_task_boards(open_board([store.url])))
    low, high = (np.nan_to_num(end, nan=-1) for end in (model.overall.low, model.overall.high))  # NaN differs from itself
    lines = zip(model.overall.rank.tolist(), low.tolist(), high.tolist(), strict=True)
    return dict(zip(model.methods, lines, strict=True)), model.methods_without()


NEWCOMERS: dict[str, tuple[list[tuple[str, dict[str, int], dict[str, Any]]], dict[str, str]]] = {
    "a metric is missing": ([("new", {"kept": 30}, {})], {"new": "told on sva/obj: not scored with told"}),
    "one metric, a name that comes first": ([("a", {"told": 40}, {})], {"a": "kept on sva/obj: not scored with kept"}),
    "a metric of its own": ([("new", {"ablated_accuracy": 40}, {})], {"new": "kept on sva/obj: not scored with kept"}),
    "a larger run": ([("new", {"kept": 64, "told": 64}, {"limit": 64})], {"new": "kept on sva/obj: not run"}),
    "a task that the others lack": (
        [("new", {"kept": 30, "told": 30}, {"task": "sva/subj"}), ("newer", {"kept": 20, "told": 20}, {"task": "sva/subj"})],
        dict.fromkeys(("new", "newer"), "kept on sva/obj: not run"),
    ),
}


@pytest.mark.parametrize("case", NEWCOMERS)
def test_a_newcomer_changes_nobody_elses_order(store: Store, case: str) -> None:
    before, nobody = order_of(store)
    assert [rank for rank, _, _ in before.values()] == [1.5, 1.5, 3.0] and nobody == {}
    cells, reasons = NEWCOMERS[case]
    for method, counts, where in cells:
        enter(store, method, counts, **where)
    assert order_of(store) == (before, reasons)


def test_a_newcomer_with_every_metric_is_ranked(store: Store) -> None:
    enter(store, "new", {"kept": 40, "told": 40})
    assert [(name, rank) for name, (rank, _, _) in order_of(store)[0].items() if name == "new"] == [("new", 1.0)]


def test_other_settings_of_a_method_on_one_task_do_not_take_it_out_of_the_order(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    for task in ("sva/obj", "sva/subj"):
        for method in ("good", "fair", "poor"):
            enter(store, method, {"kept": METRICS["kept"][method]}, task, k=1)
    before, _ = order_of(store)
    enter(store, "good", {"kept": 30}, "sva/obj", k=2)
    after, reasons = order_of(store)
    assert after == {{"good": "good:k=1"}.get(name, name): ranks for name, ranks in before.items()}
    assert reasons == {"good:k=2": "kept on sva/subj: not run"}


def test_words_have_an_order_of_their_own(tmp_path: Path) -> None:
    """Beside the main one, with the methods that score no states; and none where no two methods have such scores."""
    store = Store(str(tmp_path / "store"))
    scored = {
        "retention_curve": ("auc", {"good": 36, "fair": 20}),
        "comprehensiveness": ("aopc", {"good": 4, "fair": 20, "words": 36}),
    }
    for method in ("good", "fair", "words"):
        scores, tables = [], {}
        for metric, (variant, counts) in scored.items():
            if method in counts:
                scores.append(score(metric, {variant: counts[method] / 40}, ranked=variant, unit="share", higher_is_better=True))
                tables[f"{metric}@1"] = rows((np.arange(40) < counts[method]).astype(float), variant)
        write(store, record(method, scores, instances=40), tables)
    (model,) = model_boards(read_task_boards(open_board([store.url])))
    assert [model.methods[i] for i in model.best_first] == ["good", "fair"]
    orders = further_orders(model)
    assert list(orders) == ["scores of words"]
    words = orders["scores of words"]
    assert [words.methods[i] for i in words.best_first] == ["words", "fair", "good"]
    assert [table.comparison.metric for table in words.counted] == ["comprehensiveness"]


def test_without_scores_of_words_there_is_one_order(board) -> None:
    assert further_orders(board[1]) == {}
