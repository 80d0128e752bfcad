"""The tables of a group: exact numbers, and why a metric has no table."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.comparison.task_boards import read_task_boards
from flowgauge.leaderboards.submission.board_reader import open_board

from ..conftest import record, rows, score, write


def test_a_table_has_the_numbers_of_its_cells(board) -> None:
    table = board[0][0].first
    assert table.key == "toy/sva/obj/kept" and table.beside == {"chance": 0.5}
    numbers = [(line.label, line.rank, line.mean) for line in table.rows]
    assert numbers == [("good", 1, 0.9), ("fair", 2, 0.5), ("poor", 3, 0.1)]
    assert {(line.count, line.seeds, line.trust) for line in table.rows} == {(40, 1, "self-reported")}
    assert all(line.ties == "" and np.isnan(line.needed) for line in table.rows), "all are separated"
    assert board[0][0].leaders == ("good",) and board[0][1].leaders == ("fair",)


def test_a_metric_of_one_method_has_no_table_and_a_reason(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    for method, metrics in (("good", ("kept", "told")), ("fair", ("kept",))):
        scores = [score(metric, {"all": 0.5}, ranked="all", higher_is_better=True) for metric in metrics]
        write(
            store,
            record(method, scores, instances=4),
            {f"{metric}@1": rows(np.array([0.0, 1.0, 0.0, 1.0])) for metric in metrics},
        )
    (task_board,) = read_task_boards(open_board([store.url]))
    assert list(task_board.tables) == ["kept"] and list(task_board.unranked) == ["told"]
    assert task_board.unranked["told"] == "fewer than two methods have scores on shared instances"
    assert task_board.leaders == ("fair", "good"), "they are equal, and both first"
