"""Specifications of charts: what is drawn, and the files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.leaderboards.synthetic import synthetic_store

from flowgauge.leaderboards.comparison.model_boards import ModelBoard, model_boards
from flowgauge.leaderboards.comparison.task_boards import read_task_boards
from flowgauge.leaderboards.submission.board_reader import open_board

pytest.importorskip("altair", reason="the site's charts need altair: pip install 'flowgauge[site]'.")
from flowgauge.leaderboards.site.charts import SHOWN, cost_chart, rank_chart, write_chart


def board_of(folder: Path, methods: int) -> ModelBoard:
    (board,) = model_boards(read_task_boards(open_board([synthetic_store(folder, methods, 2, 1)])))
    return board


def rows_of(spec: dict, column: str) -> list[dict]:
    """The rows of the data set that has a column."""
    return next(rows for rows in spec["datasets"].values() if rows and column in rows[0])


def test_ranks_are_those_of_the_board(tmp_path: Path) -> None:
    board = board_of(tmp_path / "store", 5)
    spec = rank_chart(board)
    assert spec is not None and spec["description"].startswith("Mean rank of each method with its 95 % interval")
    overall = {name: rank for name, rank in zip(board.methods, board.overall.rank, strict=True)}
    rows = rows_of(spec, "rank")
    assert {row["method"]: row["rank"] for row in rows} == overall
    assert [row["rank"] for row in rows] == sorted(overall.values())
    bars = rows_of(spec, "run")
    assert {(bar["from"], bar["to"]) for bar in bars} == {(run[0], run[-1]) for run in board.ties}


def test_only_the_best_are_shown_of_many(tmp_path: Path) -> None:
    spec = rank_chart(board_of(tmp_path / "store", SHOWN + 1))
    assert spec is not None and f"each of the best {SHOWN} of {SHOWN + 1} methods" in spec["description"]
    assert len(rows_of(spec, "rank")) == SHOWN


def test_no_method_of_the_front_is_beaten_in_both(tmp_path: Path) -> None:
    spec = cost_chart(board_of(tmp_path / "store", 8))
    assert spec is not None
    rows = rows_of(spec, "front")
    for row in rows:
        better = [r for r in rows if r["score"] > row["score"] and r["seconds"] <= row["seconds"]]
        assert row["front"] != bool(better), row["method"]


def test_a_chart_is_written_on_white_in_four_formats(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert", reason="the site's charts need vl-convert-python: pip install 'flowgauge[site]'.")
    spec = rank_chart(board_of(tmp_path / "store", 2))
    assert spec is not None and spec["background"] == "transparent"
    paths = write_chart(spec, tmp_path / "charts" / "ranks")
    starts = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF", "json": b"{"}
    assert {kind: path.read_bytes().startswith(starts[kind]) for kind, path in paths.items()} == dict.fromkeys(starts, True)
    assert json.loads(paths["json"].read_text()) == {**spec, "background": "white"}
