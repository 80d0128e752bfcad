"""`flowgauge compare`: methods side by side, read from a store."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.comparison.method_comparison import compare_methods, pairs_table
from flowgauge.leaderboards.stored.comparable_cells import groups
from flowgauge.leaderboards.stored.score_table import read_scores

from ..conftest import record, rows, score, write

RNG = np.random.default_rng(0)
EASY, HARD = np.array([1, 1, 1, 1, 1, 1, 1, 0.0] * 5), np.array([0, 0, 0, 1, 0, 0, 0, 1.0] * 5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three methods on 40 instances, one of them with two seeds, and one that failed."""
    made = Store(str(tmp_path / "store"))
    named = lambda value: score("accuracy", {"all": value}, ranked="all", unit="share", higher_is_better=True)  # noqa: E731
    for method, values, seed in (("good", EASY, None), ("bad", HARD, None), ("seeded", EASY, 0), ("seeded", HARD, 1)):
        one = record(method, [named(float(values.mean()))], seed=seed, instances=40)
        write(made, one, {"accuracy@1": rows(values, draws=2 if method == "good" else 1)})
    made.find(broken := record("broken", status="failed", error="no luck")).write_record(broken)
    return made


def test_scores_are_means_over_draws_and_seeds(store: Store) -> None:
    (group,) = groups(store.records())
    found = read_scores(store, group, "accuracy")
    table = dict(zip(found.table.methods, found.table.values, strict=True))
    assert table.keys() == {"good", "bad", "seeded"}
    assert table["good"].tolist() == EASY.tolist() and table["seeded"].tolist() == ((EASY + HARD) / 2).tolist()
    assert found.table.conditions == tuple("SP" * 20)
    assert found.missing == {"broken": "no luck"}


def test_a_metric_of_all_methods_is_named_where_one_has_no_score_of_this_one(tmp_path: Path) -> None:
    made = Store(str(tmp_path / "store"))
    for method, names in (("nodes", ("accuracy", "words")), ("twin", ("accuracy", "words")), ("words", ("words",))):
        scores = [score(name, {"all": 0.5}, ranked="all", unit="share", higher_is_better=True) for name in names]
        write(made, record(method, scores, instances=40), {f"{name}@1": rows(EASY) for name in names})
    hint = "Every method has a score of words: --metric compares by one of them."
    ((_, _, lines),) = [side.text() for side in compare_methods(made.url, "accuracy")]
    assert hint in lines
    ((_, _, lines),) = [side.text() for side in compare_methods(made.url, "words")]
    assert hint not in lines


def test_methods_stand_in_the_order_of_their_ranks(store: Store) -> None:
    """Seeds with means of .875 and .25 do not separate their method from one with .875 or .25."""
    (side,) = compare_methods(store.url)
    assert side.scores.methods == ("good", "seeded", "bad")
    _, *body = side.table()
    assert [(row[0], row[1], row[3].split()[0], row[4]) for row in body] == [
        ("1 [1, 2]", "good", "0.875", "a"),
        ("2 [1, 3]", "seeded", "0.562", "a b"),
        ("3 [2, 3]", "bad", "0.250", "b"),
    ]
    assert side.sentences[0].startswith("good and seeded cannot be separated on accuracy: +0.312 [")
    assert side.sentences[0].endswith("; more instances alone would not separate them, more seeds might")
    assert side.sentences[2].startswith("good is better than bad on accuracy: +0.625 [")
    assert side.text()[2][-2] == "broken: no luck"
    pairs = pairs_table([side])
    assert len(pairs) == 3 and (pairs["one_beats_other"] > 0.5).all() and (pairs["p_holm"] >= pairs["p"]).all()


def test_chosen_methods_alone_are_corrected_for(store: Store) -> None:
    (side,) = compare_methods(store.url, methods=["good", "bad"])
    (only,) = side.pairs
    assert only.p_holm == only.p


def test_the_command_line_says_it_in_words_and_for_machines(store: Store) -> None:
    call = lambda *words: CliRunner().invoke(app, ["compare", store.url, *words])  # noqa: E731
    text = call("--task", "sva/obj")
    assert text.exit_code == 0, text.output
    assert "toy on sva/obj, share" in text.stdout and "good is better than bad on accuracy: +0.625 [" in text.stdout
    (first, *_) = json.loads(call("--json").stdout)
    assert first["metric"] == "accuracy" and first["instances"] == 40
    assert call("--csv").stdout.splitlines()[0].startswith("model,task,metric,variant,one,other,difference")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", "sva/ob"], "did you mean sva/obj"),
        (["--method", "god"], "did you mean good"),
        (["--metric", "acuracy"], "did you mean accuracy"),
        (
            ["--metric", "zzz"],
            "no metric in this store is called 'zzz': known: accuracy. `flowgauge list metrics` shows all that",
        ),
        (["--metric", "accuracy/none"], "has scores of accuracy for two methods"),
        (["--method", "good"], "for two methods"),
    ],
)
def test_what_is_not_there_is_named(store: Store, words: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["compare", store.url, *words])
    assert result.exit_code == 2 and said in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_methods_without_a_shared_instance_are_not_ranked(tmp_path: Path) -> None:
    made = Store(str(tmp_path / "store"))
    for method, values in (("one", [1, np.nan]), ("other", [np.nan, 1])):
        one = record(method, [score("accuracy", {"all": 1.0}, ranked="all")])
        write(made, one, {"accuracy@1": rows(values)})
    with pytest.raises(UsageError, match="for two methods"):
        compare_methods(made.url)
