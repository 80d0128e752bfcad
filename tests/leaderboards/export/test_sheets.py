"""Tables of a board as text: names, formats, escaping, and what each column holds."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from tests.leaderboards.conftest import keep, record
from tests.leaderboards.synthetic import hostile_store, synthetic_store
from typer.testing import CliRunner

from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.leaderboards.comparison.model_boards import model_boards
from flowgauge.leaderboards.comparison.task_boards import read_task_boards
from flowgauge.leaderboards.export.sheets import (
    FORMATS,
    MATRIX,
    cells_by_method,
    export,
    latex,
    left_out_sheet,
    markdown,
    matrix,
    ranked,
    save,
    tasks_sheet,
)
from flowgauge.leaderboards.submission.board_reader import open_board


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    """Six methods on three tasks, two seeds each."""
    return synthetic_store(tmp_path_factory.mktemp("sheets") / "store", 6, 3, 2)


def test_export_by_name_and_near_matches(store: str) -> None:
    table = export([store], "made/00", "csv").splitlines()
    assert table == export([store], "made/00:accuracy", "csv").splitlines() and len(table) == 7
    with pytest.raises(UnknownName, match="made/00"):
        export([store], "made/000", "csv")
    with pytest.raises(UnknownName, match="toy"):
        export([store], "overall", "csv", model="toi")
    done = CliRunner().invoke(app, ["leaderboard", "export", store, "--table", "overall", "--format", "markdown"])
    assert done.exit_code == 0 and done.stdout.startswith("| method | mean rank |") and len(done.stdout.splitlines()) == 8


def test_a_board_of_several_models_needs_a_name(store: str, tmp_path: Path) -> None:
    other = Store(str(tmp_path / "other"))
    keep(other, record("method-000", [], task="made/00", model="second", instances=1))
    with pytest.raises(UsageError, match=r"choose one with --model: .*second"):
        export([store, other.url], "tasks", "csv")
    assert "second" in export([store, other.url], "tasks", "csv", model="second")


def test_every_format_is_saved_with_the_same_rows(store: str, tmp_path: Path) -> None:
    (board,) = model_boards(read_task_boards(open_board([store])))
    sheet = tasks_sheet(board)
    paths = save(sheet, tmp_path / "tasks")
    assert {format: path.name for format, path in paths.items()} == {f: f"tasks.{ending}" for f, ending in FORMATS.items()}
    rows = json.loads(paths["json"].read_text())
    assert [row["task"] for row in rows] == ["made/00", "made/01", "made/02"] and {row["methods"] for row in rows} == {6}
    assert pd.read_parquet(paths["parquet"]).equals(sheet.data) and len(pd.read_csv(paths["csv"])) == 3
    assert r"\caption{Tasks on toy, with the best method" in paths["latex"].read_text()


def test_leaving_one_task_out_has_a_row_for_each_and_one_metric_has_none(store: str) -> None:
    (board,) = model_boards(read_task_boards(open_board([store])))
    sheet = left_out_sheet(board, "task")
    assert sheet is not None and sheet.data["left_out"].tolist() == ["made/00", "made/01", "made/02"]
    assert list(sheet.shown.columns) == ["left out", "best method then", "Kendall's tau", "largest changes of rank"]
    assert left_out_sheet(board, "metric") is None and left_out_sheet(board, "operator") is None


def test_the_matrix_is_of_the_first_methods(tmp_path: Path) -> None:
    boards = read_task_boards(open_board([synthetic_store(tmp_path / "store", MATRIX + 1, 1, 1)]))
    standing = boards[0].first
    assert standing is not None
    rows = matrix(standing)
    names = [name for name, _ in rows]
    assert names == list(standing.comparison.ranks.methods[:MATRIX]) and len(standing.comparison.ranks.methods) == MATRIX + 1
    assert [name for name, _ in rows[3][1]] == names and rows[3][1][3] == (names[3], None)
    assert rows[3][1][0][1] == standing.comparison.ranks.beats[3, 0]


def test_a_cell_without_a_ranked_score_has_a_reason(store: str, tmp_path: Path) -> None:
    alone = Store(str(tmp_path / "alone"))
    keep(alone, record("broken", [], task="made/00", status="failed", error="out of memory at layer 3", instances=0))
    (board,) = read_task_boards(open_board([alone.url]))
    assert ranked(board, board.group.records[0]) == (None, "out of memory at layer 3")
    ((first, *_), *_) = (cells for cells in cells_by_method(read_task_boards(open_board([store]))).values())
    aggregate, reason = ranked(first[0], first[2])
    assert aggregate is not None and (aggregate.variant, reason) == ("all", "")


def test_hostile_texts_are_escaped_in_exports(tmp_path: Path) -> None:
    hostile = hostile_store(tmp_path / "hostile")
    assert "<script>" not in export([hostile], "overall", "markdown")
    shown = export([hostile], "overall", "latex")
    assert r"y|\_`\$\&\%\#\{\}" in shown
    assert (
        markdown(pd.DataFrame({"a": ["[x](javascript:y) *b* _c_ d_e"]})).splitlines()[-1]
        == r"| [x]\(javascript:y) \*b\* \_c\_ d_e |"
    )
    assert r"\caption{50\% of a\_b}" in latex(pd.DataFrame({"a": ["x"]}), "50% of a_b")
