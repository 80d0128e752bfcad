"""Plans over cheap plug-ins, as for the tests of benchmark; and a small board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.benchmark.conftest import make_plan, plug

from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.comparison.model_boards import ModelBoard, model_boards
from flowgauge.leaderboards.comparison.task_boards import TaskBoard, read_task_boards
from flowgauge.leaderboards.submission.board_reader import open_board

from ..conftest import record, rows, score, write

__all__ = ["make_plan", "plug"]
RIGHT = {"sva/obj": {"good": 36, "fair": 20, "poor": 4}, "sva/subj": {"good": 20, "fair": 36, "poor": 4}}
"""Instances of 40 on which a method is right, by task: good and fair change places."""


@pytest.fixture
def board(tmp_path: Path) -> tuple[list[TaskBoard], ModelBoard]:
    """The tables of three methods on two tasks, and their order."""
    store = Store(str(tmp_path / "store"))
    for task, counts in RIGHT.items():
        for method, count in counts.items():
            values = (np.arange(40) < count).astype(float)
            summary = score("kept", {"all": count / 40, "chance": 0.5}, ranked="all", unit="share", higher_is_better=True)
            write(store, record(method, [summary], task=task, instances=40), {"kept@1": rows(values)})
    task_boards = read_task_boards(open_board([store.url]))
    (model,) = model_boards(task_boards)
    return task_boards, model
