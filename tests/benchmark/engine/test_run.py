"""A plan from beginning to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.benchmark.conftest import PLUGINS

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.loading.model_handle import ModelHandle
from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.stored.records import stored_records
from flowgauge.models.inputs.encode import encode, relabel
from flowgauge.models.load import load_model
from flowgauge.models.outputs import value
from flowgauge.tasks.registry import load_task

TASK, METHOD = f"{PLUGINS}:splits", f"{PLUGINS}:amortised"


def test_rows_are_those_of_a_direct_computation(make_plan, tiny_model, rows_of) -> None:
    results = run(make_plan())
    (rows,) = rows_of(results).values()
    model = load_model(str(tiny_model))
    instances = load_task("sva/obj").instances("test", 12, 0)
    batch = encode(model, instances)
    outputs = model.outputs(batch)
    gold, guided = value(outputs, batch), value(outputs, relabel(model, batch))
    assert 0 < int((gold < 0).sum()) < 12, "the fixture needs right and wrong predictions"
    for variant, q in (("gold", gold), ("guided", guided)):
        found = rows[rows["variant"] == variant].set_index("instance")["value"]
        expected = q.double() * torch.arange(batch.ids.shape[1]).sum()
        np.testing.assert_allclose([found[i.id] for i in instances], expected.numpy(), rtol=1e-4)
    assert results.exit_code == 0
    assert results.records[0].instances == 12
    assert results.records[0].correct == int((gold > 0).sum())


def test_a_second_run_loads_no_model(make_plan, monkeypatch) -> None:
    first = run(make_plan())
    monkeypatch.setattr(ModelHandle, "load", lambda _: pytest.fail("the model was loaded"))
    assert run(make_plan()).records == first.records


def test_the_reference_of_a_budget_is_listed_once_it_is_named(make_plan) -> None:
    asked = {"methods": ["attention"], "metrics": ["ablated_accuracy"], "limit": 4}
    results = run(make_plan(**asked))
    assert [record.method for record in results.records] == ["attention"]
    marked = {record.method: record.reference_only for record in Store(results.store).records()}
    assert marked == {"attention": False, "influence-patterns": True}
    assert [record.method for record in stored_records(results.store)] == ["attention"]
    both = run(make_plan(**{**asked, "methods": ["attention", "influence-patterns"]}))
    assert [record.method for record in both.records] == ["attention", "influence-patterns"]
    assert {record.method for record in stored_records(results.store)} == {"attention", "influence-patterns"}
    run(make_plan(**asked))
    assert len(stored_records(results.store)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"limit": 8},
        {"dtype": "float64"},
        {"sample_seed": 1},
        {"max_tokens": 11},
        {"methods": "by-position:scale=2"},
        {"on_split": "skip"},
    ],
)
def test_what_may_change_a_number_makes_another_cell(make_plan, plug, change) -> None:
    if "methods" in change:
        change = {"methods": plug(change["methods"])}
    assert run(make_plan()).records[0].cell != run(make_plan(**change)).records[0].cell


def test_explanations_come_in_the_order_of_the_file(make_plan, mixed_lengths) -> None:
    results = run(make_plan(tasks=str(mixed_lengths), limit=None, batch_size=2))
    cell = results.cell(results.records[0])
    assert list(cell.sentences()) == [f"pairs/{number}" for number in range(1, 9)]
    lengths = [len(sentence.tokens) for sentence in cell.sentences().values()]
    assert lengths == [11, 7] * 4 and [len(e.tokens) for e in cell.explanations(list(cell.sentences()))[0]] == lengths
    assert [len(sentence.tokens) for part in cell.parts() for sentence in part.sentences] == sorted(lengths)


def test_an_edited_plugin_runs_again(make_plan, tmp_path, plug) -> None:
    own = tmp_path / "own.py"
    source = Path(plug("")[0].rstrip(":")).read_text()
    own.write_text(source)
    first = run(make_plan(methods=f"{own}:by-position"))
    own.write_text(source.replace("scale * q", "2 * scale * q"))
    second = run(make_plan(methods=f"{own}:by-position"))
    assert first.records[0].cell != second.records[0].cell
    values = [r.records[0].aggregates["token-sum@1" + suffix(r)][0].value for r in (first, second)]
    assert values[1] == pytest.approx(2 * values[0])


def suffix(results) -> str:
    (name,) = results.records[0].scores
    return name.removeprefix("token-sum@1")


def test_seeds_count_for_methods_that_draw_only(make_plan, plug, rows_of) -> None:
    results = run(make_plan(methods=plug("by-position", "drawn"), seeds=[0, 1]))
    assert [(r.method, r.seed) for r in results.records] == [("by-position", None), ("drawn", 0), ("drawn", 1)]
    rows = list(rows_of(results).values())
    assert not np.allclose(rows[1]["value"], rows[2]["value"])


def test_draws_do_not_depend_on_the_batch_size(make_plan, plug, rows_of, tmp_path) -> None:
    one, two = (
        next(iter(rows_of(run(make_plan(methods=plug("drawn"), batch_size=size, store=str(tmp_path / str(size))))).values()))
        for size in (1, 7)
    )
    key = ["instance", "variant"]
    assert one.sort_values(key)["value"].tolist() == two.sort_values(key)["value"].tolist()


def test_a_plugin_named_like_a_builtin_is_another_method(make_plan, tmp_path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from flowgauge import explanations, method\n\n\n"
        "@method('attention', gives={'tokens'})\n"
        "def mine(model, batch, residual: float = 0.5):\n"
        "    'Another attention.'\n"
        "    return explanations(batch, tokens=batch.attention_mask * 1.0)\n"
    )
    results = run(make_plan(methods=["attention", f"{file}:attention"], metrics=["path_share"]))
    assert [r.method for r in results.records] == ["attention", "attention"]
    assert len({r.cell for r in results.records}) == 2


def test_a_task_without_a_train_split_is_not_applicable_with_the_reason(make_plan) -> None:
    results = run(make_plan(tasks=["sva/wsc:sentences=600"], methods=[METHOD]))
    assert results.exit_code == 0
    assert results.records[0].status == "not-applicable"
    assert "nothing to train it on" in results.records[0].error and "'train'" in results.records[0].error


def test_trained_and_other_methods_stand_in_one_table(make_plan, tmp_path) -> None:
    from flowgauge.leaderboards.stored.comparable_cells import groups

    results = run(make_plan(tasks=[TASK], methods=[METHOD, f"{PLUGINS}:by-position"], fit_limit=8))
    (group,) = groups(results.records)
    assert set(group.labels) == {"amortised", "by-position"}


def test_on_the_toy_task_its_model_is_trained_and_metrics_apply_or_say_why_not(make_plan, monkeypatch) -> None:
    """Every metric is asked about a recurrent model: none fails."""
    from flowgauge.metrics.registry import METRICS
    from flowgauge.models.built import toy_counting
    from flowgauge.models.built.recurrent_training import RecurrentTrainingConfig

    monkeypatch.setattr(toy_counting, "RECIPE", RecurrentTrainingConfig(epochs=1, batch_size=500, lr=1e-3))
    monkeypatch.setattr(toy_counting, "ENOUGH", 0.0)
    monkeypatch.setattr("flowgauge.tasks.toy_counting.SHARE", {"train": 300, "test": 100})
    results = run(
        make_plan(model=None, tasks=["toy/counting"], methods=["random:draws=2"], metrics=list(METRICS.builtin), limit=9)
    )
    record = next(r for r in results.records if r.method == "random")
    assert record.model == "toy-counting" and record.status == "done", record.error
    states = {score.name: score.status for score in record.scores.values()}
    assert states["ground_truth_divergence"] == states["comprehensiveness"] == "done"
    reasons = {score.name: score.reason for score in record.scores.values() if score.status == "not-applicable"}
    assert reasons["head_pruning"] == "head_pruning works inside a transformer, and toy-counting is none."
    assert "has no mask token; choose baseline" in reasons["infidelity"]


def test_a_long_run_into_a_file_says_where_it_is(make_plan, capsys, monkeypatch) -> None:
    monkeypatch.setattr("flowgauge.core.progress.PAUSE", 0.0)
    run(make_plan(), quiet=False)
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == "sva/obj: 4 of 4 steps after 0 min" and "sva/obj: by-position: 0 of 4 steps after 0 min" in told
    run(make_plan(limit=6), quiet=True)
    assert capsys.readouterr().err == ""
