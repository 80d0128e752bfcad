"""Numbers, small drawings and file names of pages."""

from __future__ import annotations

import math
import re

import pytest
from tests.leaderboards.synthetic import synthetic_store

from flowgauge.leaderboards.comparison.model_boards import model_boards
from flowgauge.leaderboards.comparison.task_boards import read_task_boards
from flowgauge.leaderboards.site.formatting import TRUST_MEANS, PageNames, number, seconds, size, weights, whisker
from flowgauge.leaderboards.submission.board_reader import open_board
from flowgauge.leaderboards.submission.trust import TRUST


def test_numbers_costs_and_sizes_are_short() -> None:
    assert [number(x) for x in (0.0, 1.0, -0.12345, 0.0004, None)] == ["0.000", "1.000", "-0.123", "4.0e-04", "–"]
    assert number(12.345, 1) == "12.3"
    assert [seconds(x) for x in (0.00312, 99.0, 100.4, math.nan)] == ["0.0031", "99", "100", "–"]
    assert [size(x) for x in (512, 3 * 2**20, 5 * 2**30)] == ["0.5 KiB", "3.0 MiB", "5.0 GiB"]


def test_every_level_of_trust_has_a_meaning() -> None:
    assert list(TRUST_MEANS) == list(TRUST)


def test_whiskers_share_the_scale_of_their_table(tmp_path) -> None:
    (board,) = read_task_boards(open_board([synthetic_store(tmp_path / "store", 4, 1, 1)]))
    standing = board.first
    assert standing is not None
    drawings = [re.findall(r'(?:x1|x2|cx)="([\d.]+)"', whisker(line, standing)) for line in standing.rows]
    ends = [float(x) for drawing in drawings for x in drawing]
    assert (min(ends), max(ends)) == (4.0, 116.0)
    low, high = min(line.low for line in standing.rows), max(line.high for line in standing.rows)
    best = standing.rows[0]
    assert float(drawings[0][2]) == pytest.approx(4 + 112 * (best.mean - low) / (high - low), abs=0.06)


def test_weights_have_the_ranks_of_every_table(tmp_path) -> None:
    (board,) = model_boards(read_task_boards(open_board([synthetic_store(tmp_path / "store", 3, 2, 1)])))
    data = weights(board)
    assert sorted(data["methods"]) == ["method-000", "method-001", "method-002"]
    assert [(t["task"], t["metric"], t["weight"]) for t in data["tables"]] == [
        ("made/00", "accuracy", 1),
        ("made/01", "accuracy", 1),
    ]
    lines = {line.label: line.rank for line in board.tables[0].rows}
    assert data["tables"][0]["ranks"] == [lines[name] for name in data["methods"]]


def test_each_key_has_a_name_of_its_own() -> None:
    names = PageNames()
    given = [names.of("a", "b c"), names.of("a b", "c"), names.of("a-b-c"), names.of("a", "b c")]
    assert given == ["a-b-c", "a-b-c-2", "a-b-c-3", "a-b-c"]


def test_names_are_safe_and_short() -> None:
    names = PageNames()
    assert names.of("../../etc", "<script>") == "etc-script"
    long = [names.of("x" * 300 + end) for end in "ab"]
    assert long == ["x" * 80, "x" * 80 + "-2"]
