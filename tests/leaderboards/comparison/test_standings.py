"""The tables of a board and the overall order: places, ties, what is left out, exact numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.comparison.standings import ModelBoard, TaskBoard, model_boards, read_task_boards
from flowgauge.leaderboards.submission.board_reader import open_board

from ..conftest import record, rows, score, write

RIGHT = {"sva/obj": {"good": 36, "fair": 20, "poor": 4}, "sva/subj": {"good": 20, "fair": 36, "poor": 4}}
"""Instances of 40 on which a method is right, by task: good and fair change places."""


@pytest.fixture
def board(tmp_path: Path) -> tuple[list[TaskBoard], ModelBoard]:
    store = Store(str(tmp_path / "store"))
    for task, counts in RIGHT.items():
        for method, count in counts.items():
            values = (np.arange(40) < count).astype(float)
            summary = score("kept", {"all": count / 40, "chance": 0.5}, ranked="all", unit="share", higher_is_better=True)
            write(store, record(method, [summary], task=task, instances=40), {"kept@1": rows(values)})
    task_boards = read_task_boards(open_board([store.url]))
    (model,) = model_boards(task_boards)
    return task_boards, model


def test_a_table_has_the_numbers_of_its_cells(board) -> None:
    table = board[0][0].first
    assert table.key == "toy/sva/obj/kept" and table.beside == {"chance": 0.5}
    numbers = [(line.label, line.rank, line.mean) for line in table.rows]
    assert numbers == [("good", 1, 0.9), ("fair", 2, 0.5), ("poor", 3, 0.1)]
    assert {(line.count, line.seeds, line.trust) for line in table.rows} == {(40, 1, "self-reported")}
    assert all(line.ties == "" and np.isnan(line.needed) for line in table.rows), "all are separated"
    assert board[0][0].leaders == ("good",) and board[0][1].leaders == ("fair",)


def test_the_overall_order_is_of_mean_ranks_and_equal_ones_share_a_place(board) -> None:
    model = board[1]
    by_method = dict(zip(model.overall.methods, model.places, strict=True))
    assert by_method == {"good": 1, "fair": 1, "poor": 3}
    assert dict(zip(model.overall.methods, model.overall.rank, strict=True)) == {"good": 1.5, "fair": 1.5, "poor": 3}
    assert model.accuracy("good") == pytest.approx(0.7) and model.seconds("good") == 0.5
    assert model.methods_without() == {}


def test_without_a_task_the_other_decides(board) -> None:
    without_obj, without_subj = board[1].left_out("task")
    assert (without_obj.name, without_obj.first) == ("sva/obj", ("fair",)) and without_subj.first == ("good",)
    assert board[1].left_out("metric") == [], "one metric counts"
