"""Scores between random explanations and an oracle: the ratio of means, its interval, and where it is undefined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.comparison.method_comparison import compare_methods
from flowgauge.leaderboards.comparison.share_of_oracle import _shares
from flowgauge.leaderboards.comparison.task_boards import read_task_boards
from flowgauge.leaderboards.export.sheets import standing_table
from flowgauge.leaderboards.stored.score_table import ScoreTable
from flowgauge.leaderboards.submission.board_reader import open_board

from ..conftest import record, rows, score, write

INSTANCES = 40


def store_of(folder: Path, means: dict[str, float], spread: float = 0.1, higher: bool | None = True, seed: int = 0) -> str:
    """A store of methods with such mean scores; `oracle N` is an oracle with noise N."""
    rng, made = np.random.default_rng(seed), Store(str(folder / "store"))
    for name, mean in means.items():
        method, _, noise = name.partition(" ")
        values = mean + spread * rng.normal(size=INSTANCES)
        kept = score("kept", {"all": float(values.mean())}, ranked="all", unit="share", higher_is_better=higher)
        settings = {"noise": float(noise)} if noise else {}
        write(made, record(method, [kept], settings=settings, instances=INSTANCES, cell=f"{abs(hash(name)) % 16**12:012x}"),
              {"kept@1": rows(values)})  # fmt: skip
    return made.url


def test_the_share_is_the_ratio_of_differences_of_means(tmp_path: Path) -> None:
    url = store_of(tmp_path, {"oracle 1": 0.9, "oracle 2": 0.7, "random": 0.2, "good": 0.6, "poor": 0.1})
    (comparison,) = compare_methods(url)
    shares, scores = comparison.of_oracle, comparison.scores
    assert shares.oracle.startswith("oracle") and "1" in shares.oracle and shares.control == "random"
    means = dict(zip(scores.methods, scores.values.mean(1), strict=True))
    for name, share in shares.of_method.items():
        expected = (means[name] - means["random"]) / (means[shares.oracle] - means["random"])
        assert share.value == pytest.approx(expected, abs=1e-12)
    assert (shares.of_method["random"].value, shares.of_method[shares.oracle].value) == (0, 1)
    assert np.isnan(shares.of_method["random"].low) and shares.of_method["poor"].value < 0
    table = comparison.table()
    assert table[0][4] == "of the oracle" and all(len(row) == len(table[0]) for row in table)
    assert {row[1]: row[4] for row in table[1:]}["random"] == "0"
    (board,) = read_task_boards(open_board([url]))
    downloaded = standing_table(board.tables["kept"]).set_index("label")
    assert downloaded.loc["good", "of_oracle"] == shares.of_method["good"].value


def test_the_interval_covers_what_it_promises() -> None:
    rng, truth, covered = np.random.default_rng(0), (0.6 - 0.2) / (0.9 - 0.2), 0
    names, means = ("oracle", "random", "good"), np.array([0.9, 0.2, 0.6])
    for _ in range(200):
        values = means[:, None] + 0.3 * rng.normal(size=(3, INSTANCES))
        scores = ScoreTable(names, values, ("",) * INSTANCES, higher_is_better=True)
        share = _shares(scores, "oracle", "random").of_method["good"]
        assert share.low < share.value < share.high
        covered += share.low <= truth <= share.high
    assert 0.91 < covered / 200 < 0.99


def test_less_is_better_turns_nothing_around(tmp_path: Path) -> None:
    (comparison,) = compare_methods(store_of(tmp_path, {"oracle 1": 0.1, "random": 0.8, "good": 0.3}, higher=False))
    assert comparison.of_oracle.of_method["good"].value == pytest.approx(5 / 7, abs=0.1)


@pytest.mark.parametrize(
    ("means", "higher", "why"),
    [({"oracle 1": 0.5, "random": 0.5, "good": 0.9}, True, "are not separated"),
     ({"oracle 1": 0.2, "random": 0.8, "good": 0.9}, True, "random is better than oracle"),
     ({"oracle 1": 0.9, "random": 0.2, "good": 0.5}, None, "no end"),
     ({"random": 0.2, "good": 0.5}, True, ""), ({"oracle 1": 0.9, "good": 0.5}, True, "")],
)  # fmt: skip
def test_where_it_is_undefined_there_is_no_column_and_a_reason(tmp_path: Path, means, higher, why: str) -> None:
    (comparison,) = compare_methods(store_of(tmp_path, means, higher=higher, spread=0.3))
    shares = comparison.of_oracle
    assert shares.of_method == {} and why in shares.reason and bool(why) == bool(shares.reason)
    assert "of the oracle" not in comparison.table()[0]
    assert any("No share of the oracle: " in line for line in comparison.text()[2]) == bool(why)
