"""Scores of a cell: metrics that fail, do not apply or are compared with a reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.engine.scoring import explainer
from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import NotApplicable
from flowgauge.methods.masks.diffmask import DiffMaskInput
from flowgauge.methods.random import Random
from flowgauge.models.inputs.encode import batches, reseed
from flowgauge.tasks.registry import load_task


def test_metrics_fail_alone(make_plan, plug) -> None:
    (record,) = run(make_plan(metrics=plug("broken", "unfit", "token-sum"))).records
    found = {score.name: (score.status, score.reason) for score in record.scores.values()}
    assert record.status == "partial"
    assert found["broken"][0] == "failed" and found["broken"][1].startswith("division by zero (plugins.py, line ")
    assert found["unfit"] == ("not-applicable", "it needs heads")
    assert found["token-sum"] == ("done", "")


def test_the_reference_method_is_added(make_plan, plug) -> None:
    results = run(make_plan(metrics=plug("against-reference")))
    assert [record.method for record in results.records] == ["by-position"]  # nobody asked for the reference
    records = sorted(Store(results.store).records(), key=lambda record: record.method)
    assert [record.method for record in records] == ["by-position", "integrated-gradients"]
    one, two = (next(iter(record.scores.values())) for record in records)
    assert one.reference == two.reference == records[1].folder
    assert [a.value for a in two.aggregates] == [0.0]


def test_a_mended_metric_mends_its_cell(make_plan, tmp_path) -> None:
    file = tmp_path / "m.py"
    text = (
        "from flowgauge import metric\nfrom flowgauge.metrics.base import Scores, frame\n\n\n"
        "@metric('mine', reads='tokens', higher_is_better=None, unit='none')\n"
        "def mine(model, shown, reference):\n    'Mine.'\n    "
    )
    file.write_text(text + "return 1 / 0\n")
    assert run(make_plan(metrics=[str(file)])).records[0].status == "partial"
    file.write_text(text + "return Scores(frame([]))\n")
    mended = run(make_plan(metrics=[str(file)]))
    assert mended.exit_code == 0 and [s.status for s in mended.records[0].scores.values()] == ["done"]


def test_a_reference_that_did_not_apply_in_an_earlier_run_is_not_applicable(make_plan, plug) -> None:
    wanted = plug("against-choosy")
    run(make_plan(methods=plug("choosy"), metrics=wanted))
    records = run(make_plan(methods=plug("by-position"), metrics=wanted)).records
    (score,) = next(r for r in records if r.method == "by-position").scores.values()
    assert score.status == "not-applicable" and score.reason.endswith("is not applicable: this model has no recurrence")


def test_a_damaged_score_is_computed_again(make_plan, rows_of) -> None:
    before = rows_of(results := run(make_plan()))
    (path,) = (Path(results.cell(results.records[0]).path) / "scores").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    (found,), (expected,) = rows_of(run(make_plan())).values(), before.values()
    assert found.equals(expected)


def test_a_method_explains_again_on_the_model_or_on_another(tiny_flow, tiny_flows) -> None:
    (batch,) = batches(tiny_flow, load_task("sva/obj").instances("test", 2, 0)).batches
    other, asked = tiny_flows("bert", "masked", 2), []

    class Noted(Random):
        def explain(self, model, batch):
            asked.append(model)
            return super().explain(model, batch)

    method = Noted(1)
    explain = explainer(method, tiny_flow, 7, lambda: method)
    own, others = explain(batch), explain(batch, other)
    assert asked == [tiny_flow, other]
    expected = Random(1).explain(tiny_flow, reseed(batch, 7))
    for explanations in (own, others):
        assert [e.draws[0].tokens.tolist() for e in explanations] == [e.draws[0].tokens.tolist() for e in expected]


def test_a_trained_method_explains_its_own_model_alone(tiny_flow, tiny_flows) -> None:
    (batch,) = batches(tiny_flow, load_task("sva/obj").instances("test", 2, 0)).batches
    with pytest.raises(NotApplicable, match="trained to explain one model"):
        explainer(DiffMaskInput(), tiny_flow, 0, DiffMaskInput)(batch, tiny_flows("bert", "masked", 2))
