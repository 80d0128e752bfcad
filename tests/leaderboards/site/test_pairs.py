"""The data of pages of two methods against the scores and tests of the board."""

from __future__ import annotations

import json
from itertools import combinations

import pytest

from flowgauge.leaderboards.comparison.task_boards import read_task_boards
from flowgauge.leaderboards.site.instances import browse
from flowgauge.leaderboards.site.pairs import paired_scores
from flowgauge.leaderboards.submission.board_reader import open_board


def test_scores_and_differences_are_those_of_the_board(synthetic_site) -> None:
    board = read_task_boards(open_board([synthetic_site[0]]))[0]
    data = json.loads(json.dumps(paired_scores(board, None), allow_nan=False))
    ids = [instance["id"] for instance in data["instances"]]
    assert ids == sorted(ids) and all(set(instance) == {"id", "condition"} for instance in data["instances"])
    for metric in data["metrics"]:
        comparison = board.tables[metric["name"]].comparison
        scores = comparison.scores
        for method, values in zip(metric["methods"], metric["scores"], strict=True):
            row = dict(zip(scores.instances, scores.values[scores.methods.index(method)], strict=True))
            for name, value in zip(ids, values, strict=True):
                expected = row.get(name, float("nan"))
                assert (value is None and expected != expected) or value == pytest.approx(expected, rel=1e-3)
        assert len(metric["pairs"]) == len(list(combinations(metric["methods"], 2)))
        for (one, other), (value, low, high, p) in zip(combinations(metric["methods"], 2), metric["pairs"], strict=True):
            pair = comparison.by_pair[frozenset((one, other))]
            pair = pair if pair.one == one else pair.swapped()
            assert [value, low, high, p] == pytest.approx([pair.value, pair.low, pair.high, pair.p_holm], rel=1e-3)


def test_word_scores_come_with_instances_that_are_shown(real_site) -> None:
    reader = open_board([real_site[0]])
    board = read_task_boards(reader)[0]
    data = paired_scores(board, browse(reader, board.group, "", 4).as_data())
    shown = [instance for instance in data["instances"] if "tokens" in instance]
    assert len(shown) == 4 < len(data["instances"])
    for instance in shown:
        assert instance["words"] and all(len(of) == len(instance["tokens"]) for of in instance["words"].values())
