"""The sentences on the first page of a board, from scores made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flowgauge.benchmark.store.record import Cost
from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.comparison.model_boards import ModelBoard, model_boards
from flowgauge.leaderboards.comparison.task_boards import read_task_boards
from flowgauge.leaderboards.site.summary import compare_models, first_methods, summarise_board
from flowgauge.leaderboards.submission.board_reader import open_board

from ..conftest import record, rows, score, write


def board_of(
    folder: Path,
    tasks: Mapping[str, Mapping[str, int]],
    size: int = 40,
    passes: Mapping[str, float] = {},
    model: str = "toy",
) -> ModelBoard:
    """The board of methods that are right on so many instances of each task, and take so many forward passes."""
    store = Store(str(folder / "store"))
    for task, counts in tasks.items():
        for method, count in counts.items():
            values = (np.arange(size) < count).astype(float)
            summary = score("kept", {"all": count / size}, ranked="all", unit="share", higher_is_better=True)
            cost = Cost(seconds=0.5, own_seconds=4, charged_seconds=0, explanations=8, peak_bytes=0, passes=passes.get(method))
            write(store, record(method, [summary], task=task, instances=size, cost=cost, model=model), {"kept@1": rows(values)})
    (board,) = model_boards(read_task_boards(open_board([store.url])))
    return board


def test_a_clear_order_is_told_as_one(tmp_path: Path) -> None:
    answers = dict(summarise_board(board_of(tmp_path, {"sva/obj": {"good": 36, "fair": 20, "random": 4, "poor": 4}})))
    assert answers["What was measured"].startswith("4 methods explained answers of toy on 1 task (40 instances each).")
    assert answers["What was measured"].endswith("by kept.")
    assert answers["Who leads"] == (
        "good, with a mean rank of 1.00; it is first in 100 % of other samples of such sentences. "
        "It is separated from every other method."
    )
    assert answers["How sure that is"].startswith(
        "Two random halves of the instances give orders that agree with Kendall's τ of "
    )
    assert answers["Not better than random"] == "poor."
    assert answers["What it costs"] == "Not known."


def test_what_a_task_changes_and_who_is_as_good_are_named(tmp_path: Path) -> None:
    counts = {"sva/obj": {"good": 36, "fair": 20, "poor": 4}, "sva/subj": {"good": 20, "fair": 36, "poor": 4}}
    answers = dict(summarise_board(board_of(tmp_path, counts)))
    assert answers["Who leads"] == "good and fair share the first place, with a mean rank of 1.50 each."
    assert "leaving out a single task can put " in answers["How sure that is"]
    assert "Not better than random" not in answers, "nobody ran random explanations"


def test_one_instance_says_nothing_of_sureness_and_one_method_is_no_order(tmp_path: Path) -> None:
    two = board_of(tmp_path / "two", {"sva/obj": {"good": 9, "random": 1}}, size=1)
    assert dict(summarise_board(two))["How sure that is"] == "There is one instance, which says nothing about that."
    assert summarise_board(board_of(tmp_path / "one", {"sva/obj": {"good": 9}})) == []


def test_who_leads_at_a_lower_cost_is_named(tmp_path: Path) -> None:
    costs = {"good": 700, "fair": 120, "poor": 1}
    answers = dict(summarise_board(board_of(tmp_path, {"sva/obj": {"good": 36, "fair": 20, "poor": 4}}, passes=costs)))
    assert answers["What it costs"] == (
        "good takes 700 forward passes an explanation; of those that take at most 500, as 10 passes of integrated gradients do, "
        "fair is first (120 forward passes, place 2); of those that take at most 50, as 1 pass of integrated gradients do, "
        "poor is first (1 forward pass, place 3)."
    )


def test_methods_that_always_tie_are_told_as_such(tmp_path: Path) -> None:
    answers = dict(summarise_board(board_of(tmp_path, {"sva/obj": {"one": 20, "same": 20}})))
    assert answers["How sure that is"] == "All methods tie."
    assert answers["Who leads"] == "one and same share the first place, with a mean rank of 1.50 each."


def test_two_models_are_told_together(tmp_path: Path) -> None:
    here = board_of(tmp_path / "a", {"sva/obj": {"good": 36, "fair": 20, "poor": 4, "alone": 1}}, model="encoder")
    there = board_of(tmp_path / "b", {"sva/obj": {"good": 20, "fair": 36, "poor": 4}}, model="decoder")
    answers = dict(compare_models([here, there]))
    assert answers["Who leads"] == "On encoder, good; on decoder, fair."
    places = ("good (encoder) has place 2 of 3 on decoder", "fair (decoder) has place 2 of 4 on encoder")
    assert answers["The first elsewhere"] == f"{'; '.join(places)}."
    assert answers["Do the models agree"] == "Of 3 pairs of methods that both models separate, 2 are in the same order."


def test_one_model_or_none_with_an_order_has_no_comparison(tmp_path: Path) -> None:
    one = board_of(tmp_path / "a", {"sva/obj": {"good": 36, "poor": 4}})
    assert compare_models([one]) == [] == compare_models([one, board_of(tmp_path / "b", {"sva/obj": {"good": 9}}, model="other")])


def test_models_that_separate_nothing_say_nothing_of_the_order(tmp_path: Path) -> None:
    tied = {"sva/obj": {"one": 20, "same": 20}}
    boards = [board_of(tmp_path / name, tied, model=name) for name in ("a", "b")]
    assert first_methods(boards[0]) == ["one", "same"]
    assert dict(compare_models(boards))["Do the models agree"].startswith("No two methods are separated on both models")
