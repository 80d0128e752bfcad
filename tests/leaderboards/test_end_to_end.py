"""One run on the embedded model, from plan to tables: every number that a table asks for is one that a metric gives."""

from __future__ import annotations

import math

import pytest
from tests.conftest import FULL_SIZE

import flowgauge
from flowgauge.leaderboards.tables.columns import COLUMNS
from flowgauge.leaderboards.tables.entries import read_entry
from flowgauge.leaderboards.tables.paper_table import PAPER_ROWS
from flowgauge.leaderboards.tables.show import render
from flowgauge.methods.registry import METHODS

UNTRAINED = [name for name in METHODS.builtin if "training" not in METHODS.create(name).needs]
"""What a task without a train split can be explained with."""
SOME = [name for name in UNTRAINED if FULL_SIZE or name in {*(row.method for row in PAPER_ROWS), "exact-erasure", "deep-lift"}]
"""In full (`FLOWGAUGE_FULL_TESTS=1`) all of them; the tests of conformance run each on this model."""
QUICK = {"random": "random:draws=3", "diffmask-single": "diffmask-single:steps=20", "reinforce-mask": "reinforce-mask:steps=20"}


@pytest.fixture(scope="module")
def results(tmp_path_factory, agreement_model):
    metrics = [
        "ablated_accuracy", "retention_curve", "deletion_curve", "ablation_shift", "concentration", "path_share",
        "skip_share", "alignment_rate", "pattern_entropy", "random_rank:patterns=20,words=1", "completeness_error",
    ]  # fmt: skip
    methods = [QUICK.get(name, name) for name in SOME]
    store = str(tmp_path_factory.mktemp("store"))
    return flowgauge.run(
        flowgauge.Plan(model="agreement-bert", tasks=["sva/obj"], methods=methods, metrics=metrics, limit=4, store=store)
    )


def test_every_cell_is_done(results):
    assert results.exit_code == 0
    assert sorted(r.method for r in results.records) == sorted(SOME)
    assert {r.status for r in results.records} == {"done"}


def test_influence_patterns_have_every_number_of_the_tables(results):
    (record,) = [r for r in results.records if r.method == "influence-patterns"]
    for column in COLUMNS:
        if column.metric:
            assert read_entry(record, column.metric, column.variant).known, column.key
    by_method = {r.method: r for r in results.records}
    for row in PAPER_ROWS:
        for guide in ("gold", "predicted"):
            cell = read_entry(by_method[row.method], row.metric, row.variant.format(guide))
            assert cell.known, row.title
            assert not row.spread or cell.spread is not None


def test_known_numbers(results):
    frame = results.to_pandas()
    accuracy = frame[frame["metric"] == "ablated_accuracy@1"].set_index(["method", "variant"])["value"]
    assert accuracy["influence-patterns", "original"] == 1
    assert accuracy["influence-patterns", "chance"] == 0.5
    ranking = [name for name in SOME if METHODS.create(name).gives & {"nodes", "flows", "edges", "patterns"}]
    for method in ranking:  # the whole model is right on all, so gold and guided explanations are the same
        gold, guided = (accuracy[method, f"embedding/matched/{g}"] for g in ("gold", "predicted"))
        assert gold == guided
    assert math.isnan(accuracy["conductance", "attention/matched/gold"])
    assert ("exact-erasure", "embedding/matched/gold") not in accuracy.index  # its mask is of words
    assert (frame[frame["variant"] == "union"]["value"] > 0).all()


def test_a_second_run_gives_the_same_rows_without_work(results):
    again = flowgauge.run(flowgauge.Plan(**{**_fields(results), "store": results.store}))
    assert again.to_pandas().equals(results.to_pandas())
    assert [r.finished for r in again.records] == [r.finished for r in results.records]


def _fields(results):
    asked = results.records[0].asked
    metrics = [
        {"name": s.name, **({} if s.name != "random_rank" else {"patterns": 20, "words": 1})}
        for s in results.records[0].scores.values()
    ]
    methods = [{**r.asked["method"]} for r in results.records]
    return {"model": asked["model"], "tasks": [asked["task"]], "methods": methods, "metrics": metrics, "limit": 4}


def test_the_tables_print(results):
    text = render(results.store, "text")
    assert "agreement-bert on sva/obj: 4 instances" in text and "guided by the predicted class" in text
