"""The order of methods under several ablation operators: in `compare` and on the site."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.leaderboards.comparison.model_boards import model_boards
from flowgauge.leaderboards.comparison.operator_sensitivity import RankChange, panels
from flowgauge.leaderboards.comparison.task_boards import read_task_boards
from flowgauge.leaderboards.stored.comparable_cells import groups
from flowgauge.leaderboards.submission.board_reader import open_board

from ..conftest import record, rows, score

VALUES = {  # share of 40 instances that are right, by method, under each operator
    "zero": {"a": 36, "b": 20, "c": 4},
    "mean": {"a": 30, "b": 12, "c": 8},
    "cut": {"a": 6, "b": 30, "c": 2},
}


def scored(right: dict[str, dict[str, int]], **more):
    """Metric `kept` under each operator, and its rows, by method."""
    found: dict[str, list] = {}
    for operator, by_method in right.items():
        for method, count in by_method.items():
            settings = {"steps": 4} if operator == "zero" else {"steps": 4, "operator": operator, "seed": 0}
            one = score("kept", {"auc": count / 40}, ranked="auc", unit="share", higher_is_better=True)
            identity = "kept@1" if operator == "zero" else f"kept@1-{operator:0<8}"
            values = (np.arange(40) < count).astype(float)
            if (operator, method) == ("cut", "c"):
                values[39] = np.nan
            found.setdefault(method, []).append(
                (one.model_copy(update={"settings": settings, "metric": identity, **more}), values)
            )
    return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three methods under three operators, the default stored before it was a setting; one more without `cut`."""
    made = Store(str(tmp_path / "store"))
    by_method = scored(VALUES) | scored({"zero": {"d": 10}, "mean": {"d": 10}})
    for task in ("sva/obj", "sva/subj"):
        for method, found in by_method.items():
            one = record(method, [s for s, _ in found], task=task, instances=40)
            for each, values in found:
                made.find(one).write_scores(each, rows(values, "auc"))
            made.find(one).write_record(one)
    return made


def test_a_panel_is_of_what_all_operators_have(store: Store) -> None:
    (panel,) = panels(store, groups(store.records())[0])
    assert (panel.metric, panel.settings, panel.operators) == ("kept", "", ("zero", "cut", "mean"))
    assert panel.methods == ("a", "b", "c") and panel.instances == 39
    assert panel.ranks.tolist() == [[1, 2, 3], [2, 1, 3], [1, 2, 3]]
    np.testing.assert_allclose(panel.means[0], np.array([36, 20, 4]) / 39)
    np.testing.assert_allclose(panel.tau, [[1, 1 / 3, 1], [1 / 3, 1, 1 / 3], [1, 1 / 3, 1]])
    assert panel.flips == (RankChange("a", "b", ("zero", "mean"), ("cut",), True),)


def test_lower_is_better_turns_the_order(store: Store, tmp_path: Path) -> None:
    made = Store(str(tmp_path / "lower"))
    for method, found in scored(VALUES, higher_is_better=False).items():
        one = record(method, [s for s, _ in found], instances=40)
        for each, values in found:
            made.find(one).write_scores(each, rows(values, "auc"))
        made.find(one).write_record(one)
    (panel,) = panels(made, groups(made.records())[0])
    assert panel.ranks.tolist() == [[3, 2, 1], [2, 3, 1], [3, 2, 1]]
    assert panel.flips == (RankChange("a", "b", ("cut",), ("zero", "mean"), True),)


def test_one_operator_or_one_method_is_no_panel(store: Store, tmp_path: Path) -> None:
    assert panels(store, groups(store.records()[:1])[0]) == []
    single = [r.model_copy(update={"scores": {"kept@1": r.scores["kept@1"]}}) for r in store.records()]
    assert panels(store, groups(single)[0]) == []


def test_compare_tells_it_in_words(store: Store) -> None:
    call = lambda *words: CliRunner().invoke(app, ["compare", store.url, *words])  # noqa: E731
    said = call("--task", "sva/obj").stdout
    assert "kept under 3 ablation operators, on 39 instances" in said
    assert (
        "  zero: a, b, c\n  cut: b, a, c (Kendall's tau to zero on these instances: 0.33)\n"
        "  mean: a, b, c (Kendall's tau to zero on these instances: 1.00)\n" in said
    )
    assert "  a is ahead under zero, mean, b under cut; both orders are significant\n" in said
    assert "ablation operators" not in call("--method", "a", "--method", "b").stdout
    one = call("--task", "sva/obj", "--metric", "kept:operator=cut").stdout
    assert "b is better than a on kept:operator=cut: +0.6" in one
    wrong = call("--metric", "kept:operator=mask")
    assert wrong.exit_code == 2 and "has kept with other settings: steps=4; steps=4, operator=mean" in wrong.stderr


def test_the_site_has_the_panel_and_the_change_of_the_whole_order(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="the site's charts need altair: pip install 'flowgauge[site]'.")
    from flowgauge.leaderboards.export.sheets import export
    from flowgauge.leaderboards.site.build import build

    (board,) = model_boards(read_task_boards(open_board([store.url])))
    cut, mean = board.under_operators()
    assert (cut.name, cut.first) == ("kept: cut for zero", ("b",)) and cut.tau == pytest.approx(1 / 3)
    assert set(cut.moves) == {("a", 1.0, 2.0), ("b", 2.0, 1.0)}
    assert (mean.name, mean.first, mean.moves) == ("kept: mean for zero", ("a",), ()) and mean.tau == pytest.approx(1)
    build([store.url], tmp_path / "site")
    page = next((tmp_path / "site" / "tasks").glob("*.html")).read_text(encoding="utf-8")
    assert "a is ahead under zero, mean, b under cut; both orders are significant" in page and page.count("data-tab=") == 1
    index = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "Under another ablation operator" in index and "kept: cut for zero" in index
    table = pd.read_csv(tmp_path / "site" / "data" / "operators.csv")
    assert len(table) == 18 and table[(table["operator"] == "cut") & (table["label"] == "b")]["rank"].tolist() == [1, 1]
    (changes,) = (tmp_path / "site" / "data").glob("**/under-operator-*.csv")
    assert pd.read_csv(changes)["left_out"].tolist() == ["kept: cut for zero", "kept: mean for zero"]
    assert "kept: cut for zero" in export([store.url], "under-operator", "markdown")
