"""`flowgauge compare`: which cells are compared, from stored explanations alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import pearsonr
from typer.testing import CliRunner

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.comparison.cell_comparison import compare

TASKS = ["sva/obj", "sva/subj", "sva/app"]


@pytest.fixture(scope="module")
def whole(tiny_model, plug, tmp_path_factory) -> str:
    """Two methods on three tasks; tests do not change it."""
    store, methods = str(tmp_path_factory.mktemp("compared") / "store"), plug("by-head", "by-position")
    return run(
        model=str(tiny_model),
        tasks=TASKS,
        methods=methods,
        metrics=plug("token-sum"),
        limit=6,
        batch_size=5,
        device="cpu",
        store=store,
    ).store


@pytest.fixture
def store(whole, tmp_path) -> str:
    """A copy, which `make_plan` runs into."""
    return str(shutil.copytree(whole, tmp_path / "store"))


def test_every_pair_of_tasks_is_compared(store):
    found = compare(store)
    heads = [p for p in found.pairs if p.records[0].method == "by-head"]
    assert [(p.records[0].task, p.records[1].task) for p in heads] == [
        ("sva/app", "sva/obj"),
        ("sva/app", "sva/subj"),
        ("sva/obj", "sva/subj"),
    ]
    for pair in heads:
        means = [np.mean([e.heads for part in Store(store).find(r).parts() for e in part.gold], 0).ravel() for r in pair.records]
        assert pair.aggregates[0].value == pytest.approx(pearsonr(*means).statistic)
    others = [p for p in found.pairs if p.records[0].method == "by-position"]
    assert len(others) == 3 and {p.reason for p in others} == {"the method gives tokens, from which heads cannot be ranked."}


def test_tasks_and_methods_can_be_named(store):
    ends = lambda **how: {(p.records[0].method, p.records[0].task, p.records[1].task) for p in compare(store, **how).pairs}  # noqa: E731
    assert ends(tasks=["sva/subj", "sva/obj"], methods=["by-head"]) == {("by-head", "sva/obj", "sva/subj")}
    assert ends(tasks=["sva/obj"], methods=["by-head"]) == {("by-head", "sva/app", "sva/obj"), ("by-head", "sva/obj", "sva/subj")}


def test_settings_are_kept_apart_and_the_largest_run_counts(store, make_plan, plug):
    (spec,) = plug("by-head")
    run(make_plan(tasks=TASKS[:2], methods=[f"{spec}:power=2"], metrics=plug("token-sum"), limit=6))
    run(make_plan(tasks=TASKS[:1], methods=[spec], metrics=plug("token-sum"), limit=8))
    found = compare(store, methods=["by-head"])
    assert [(p.records[0].settings["power"], p.records[0].instances) for p in found.pairs if p.records[0].task == "sva/obj"] == [
        (1.0, 8),
        (2, 6),
    ]
    assert {row[0] for row in found.summary()[1:]} == {"by-head:power=1.0", "by-head:power=2"}


def test_checkpoints_of_two_tasks(make_plan, plug, tiny_folder, store):
    """A second model is compared with the first only where neither has the other's task."""
    second = str(tiny_folder(seed=2))
    run(make_plan(model=second, tasks=["sva/wsc", "sva/obj"], methods=plug("by-head"), metrics=plug("token-sum"), limit=6))
    pairs = {
        (p.records[0].model[-1], p.records[0].task, p.records[1].model[-1], p.records[1].task)
        for p in compare(store, methods=["by-head"]).pairs
    }
    across = {pair for pair in pairs if pair[0] != pair[2]}
    assert {frozenset(pair[1::2]) for pair in across} == {
        frozenset(("sva/wsc", "sva/app")),
        frozenset(("sva/wsc", "sva/subj")),
    } - {frozenset(("sva/wsc", "sva/obj"))}


def test_the_command(store):
    asked = ["compare", store, "--metric", "head_universality", "--task", "sva/obj", "--task", "sva/subj"]
    call = lambda *words: CliRunner().invoke(app, [*asked, *words])  # noqa: E731
    pair = compare(store, tasks=TASKS[:2], methods=["by-head"]).pairs[0]
    value = pair.aggregates[0]
    shown = call()
    assert shown.exit_code == 0, shown.output
    row = next(line for line in shown.stdout.splitlines() if line.startswith("by-head"))
    assert row.split("  ")[0] == "by-head" and "sva/obj (6)" in row and "sva/subj (6)" in row
    assert f"{value.value:.3f} [no interval]: an interval needs 16 instances a cell, and there are 6." in row
    assert "n/a: the method gives tokens" in shown.stdout
    rows = json.loads(call("--json").stdout)
    assert [r["value"] for r in rows if r["variant"] == "pearson" and r["method"] == "by-head"] == [pytest.approx(value.value)]
    assert call("--csv").stdout.splitlines()[0].startswith("metric,method,settings,seed,model,task,instances,other_model")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", "sva/onj"], "did you mean sva/obj"),
        (["--method", "by-heat"], "did you mean by-head"),
        (["--metric", "head_pruning"], "has no scores of head_pruning: `flowgauge score"),
        (["--metric", "head_univrsality"], "did you mean head_universality"),
    ],
)
def test_mistakes_are_one_line(store, words, said):
    result = CliRunner().invoke(app, ["compare", store, *words])
    assert result.exit_code == 2 and said in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_one_task_is_nothing_to_compare(make_plan, plug):
    stored = run(make_plan(methods=plug("by-head"), limit=4)).store
    with pytest.raises(UsageError, match="has explanations of two of the tasks"):
        compare(stored)


def test_missing_explanations_are_noticed(store):
    record = compare(store, methods=["by-head"]).pairs[0].records[0]
    cell = Store(store).find(record)
    cell.files.remove(f"{cell.path}/{cell.part_names()[0]}")
    with pytest.raises(UsageError, match=r"missing or damaged\. `flowgauge run --store .* mends it"):
        compare(store, methods=["by-head"])


def test_it_loads_no_torch():
    modules = "flowgauge.leaderboards.comparison.cell_comparison, flowgauge.metrics.heads.head_universality"
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert done.returncode == 0, done.stderr


def test_a_run_says_where_cells_are_compared(make_plan, plug):
    (record,) = run(make_plan(methods=plug("by-head"), metrics=["head_universality"], limit=4)).records
    (score,) = record.scores.values()
    assert (score.status, score.reason) == ("not-applicable", "it compares cells: use `flowgauge compare`.")


def test_cells_that_differ_in_the_seed_alone_are_held_against_each_other(make_plan):
    run(make_plan(methods=["random:draws=2"], metrics=["stability"], limit=4, seeds=(0, 1, 2)))
    stored = run(make_plan(methods=["random:draws=3"], metrics=["stability"], limit=4, seeds=(0,))).store
    found = compare(stored, "stability")
    (group,) = found.pairs
    assert [r.seed for r in group.records] == [0, 1, 2] and {r.settings["draws"] for r in group.records} == {2}
    tokens = []
    for record in group.records:
        cell = Store(stored).find(record)
        tokens.append({name: np.mean([d.nodes for d in e.draws], 0) for part in cell.parts() for name, e in _named(part)})
    spread = [np.stack([one[name] for one in tokens]).std(0, ddof=1).mean() for name in tokens[0]]
    assert group.aggregates[0].value == pytest.approx(np.mean(spread))
    head, row = found.summary()
    assert head[:3] == ("method", "task", "seeds") and row[1:3] == ("sva/obj (4)", "0, 1, 2")
    only = make_plan(methods=["random:draws=3"], metrics=["stability"], limit=4, store=f"{stored}-one")
    with pytest.raises(UsageError, match=r"several seeds of a method that draws; `flowgauge run --seed 0 --seed 1"):
        compare(run(only).store, "stability")


def _named(part):
    return [(sentence.id, e) for sentence, e in zip(part.sentences, part.gold, strict=True)]
