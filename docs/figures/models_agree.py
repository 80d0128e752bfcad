"""Prints how far the models of a board order methods alike: `python docs/figures/models_agree.py BOARD` for docs/results.md."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import combinations

from scipy.stats import kendalltau

from flowgauge.leaderboards.comparison.model_boards import ModelBoard, further_orders, model_boards
from flowgauge.leaderboards.comparison.task_boards import read_task_boards
from flowgauge.leaderboards.site.summary import pairs_in_one_order
from flowgauge.leaderboards.submission.board_reader import open_board

WORDS = "scores of words"
"""The order beside the main one."""


def mean_ranks(board: ModelBoard) -> dict[str, float]:
    """The mean rank of every method of an order."""
    assert board.overall is not None
    return dict(zip(board.methods, board.overall.rank.tolist(), strict=True))


def agreement(one: ModelBoard, other: ModelBoard) -> str:
    """Kendall's tau of the methods that both orders have, and how many of the pairs that both separate are in one order."""
    here, there = mean_ranks(one), mean_ranks(other)
    shared = [name for name in here if name in there]
    tau = kendalltau([here[name] for name in shared], [there[name] for name in shared]).statistic
    same, pairs = pairs_in_one_order(one, other)
    return f"{one.model} and {other.model}: tau {tau:.2f} of {len(shared)} methods, {same} of {pairs} pairs in one order"


def main(arguments: Sequence[str]) -> None:
    """The command line: the board."""
    boards = [board for board in model_boards(read_task_boards(open_board(arguments[:1]))) if board.overall is not None]
    words = [of[WORDS] for of in map(further_orders, boards) if WORDS in of]
    for name, orders in {"main order": boards, WORDS: words}.items():
        for one, other in combinations(orders, 2):
            print(f"{name}: {agreement(one, other)}")


if __name__ == "__main__":
    main(sys.argv[1:])
