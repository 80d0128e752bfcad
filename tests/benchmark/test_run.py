"""A plan from beginning to end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from flowgauge.benchmark.engine import model_handle as loading_module
from flowgauge.benchmark.engine.model_handle import ModelHandle
from flowgauge.benchmark.engine.rescore import rescore
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.model_fingerprint import model_fingerprint
from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import FlowgaugeError, UsageError
from flowgauge.models.inputs.encode import encode, relabel
from flowgauge.models.load import load_model
from flowgauge.models.outputs import value
from flowgauge.tasks.registry import load_task


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


def test_batch_size_is_provenance(make_plan, rows_of, monkeypatch) -> None:
    first = run(make_plan())
    monkeypatch.setattr(ModelHandle, "load", lambda _: pytest.fail("the model was loaded"))
    second = run(make_plan(batch_size=3))
    assert second.records[0].cell == first.records[0].cell
    assert second.records[0].provenance.batch_size == 5


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


def test_failures_are_forgotten_when_the_plugin_is_mended(make_plan, tmp_path, plug) -> None:
    own = tmp_path / "own.py"
    source = Path(plug("")[0].rstrip(":")).read_text()
    own.write_text(source.replace("scale * q", "q * missing_name"))
    plan = make_plan(methods=f"{own}:by-position")
    (failed,) = run(plan).records
    assert (failed.status, failed.error) == ("failed", "NameError: name 'missing_name' is not defined")
    assert run(plan).records[0].status == "failed", "a failed cell is tried again"
    own.write_text(source)
    (mended,) = run(plan).records
    assert mended.status == "done" and Store(plan.store).records() == [mended]


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


def test_faulty_methods_fail_alone(make_plan, plug) -> None:
    names = ("not-a-number", "too-few", "too-long", "not-a-list", "unlucky", "choosy", "by-position")
    results = run(make_plan(methods=plug(*names)))
    found = {r.method: (r.status, r.error) for r in results.records}
    assert results.exit_code == 1
    assert found["by-position"] == ("done", "")
    assert found["choosy"] == ("not-applicable", "this model has no recurrence")
    assert found["unlucky"] == ("failed", "RuntimeError: out of luck on two lines")
    assert "'tokens' has 1 of 11 values that are NaN" in found["not-a-number"][1]
    assert "returned 4 explanations for 5 instances" in found["too-few"][1]
    assert "has shape (12,), expected (11,)" in found["too-long"][1]
    assert "must return a list of Explanation, got Tensor" in found["not-a-list"][1]
    assert {found[name][0] for name in names[:5]} == {"failed"}
    frame = results.to_pandas().set_index("method")
    assert frame.loc["unlucky", "status"] == "failed"
    assert np.isnan(frame.loc["choosy", "value"])


def test_metrics_fail_alone(make_plan, plug) -> None:
    (record,) = run(make_plan(metrics=plug("broken", "unfit", "token-sum"))).records
    found = {score.name: (score.status, score.reason) for score in record.scores.values()}
    assert record.status == "partial"
    assert found["broken"] == ("failed", "ZeroDivisionError: division by zero")
    assert found["unfit"] == ("not-applicable", "it needs heads")
    assert found["token-sum"] == ("done", "")


def test_the_reference_method_is_added(make_plan, plug) -> None:
    results = run(make_plan(metrics=plug("against-reference")))
    assert [r.method for r in results.records] == ["by-position", "integrated-gradients"]
    one, two = (next(iter(r.scores.values())) for r in results.records)
    assert one.reference == two.reference == results.records[1].folder
    assert [a.value for a in two.aggregates] == [0.0]


def test_shared_work_is_charged(make_plan, plug) -> None:
    results = run(make_plan(methods=plug("shared", "shared-too")))
    one, two = results.records
    assert one.cost.charged_seconds == 0
    sentences = [part.sentences for part in results.cell(two).parts()]
    shared = sum(1 + any(not s.correct for s in part) for part in sentences)  # wrong ones are a batch of their own
    assert len(sentences) == 3 and shared > 3
    assert two.cost.charged_seconds == 100.0 * shared
    assert two.cost.explanations == 12 + (12 - two.correct)
    assert two.cost.seconds == pytest.approx((two.cost.own_seconds + two.cost.charged_seconds) / two.cost.explanations)
    assert one.cost.peak_bytes > 1 << 20


def test_other_metrics_score_what_is_stored(make_plan, plug, monkeypatch) -> None:
    plan = make_plan()
    first = run(plan)
    monkeypatch.setattr("flowgauge.benchmark.engine.worker.explain_batch", lambda *_: pytest.fail("explained again"))
    (record,) = rescore(plan.store, plug("token-sum:power=2"), device="cpu").records
    assert len(record.scores) == 2
    name = next(n for n in record.scores if n not in first.records[0].scores)
    explanations = [e for part in first.cell(record).parts() for e in part.gold]
    expected = np.mean([(e.tokens**2).sum() for e in explanations])
    assert record.scores[name].aggregates[0].value == pytest.approx(expected)
    assert Store(plan.store).records() == [record]


def test_sentences_are_stored_for_figures(make_plan) -> None:
    results = run(make_plan(limit=4))
    sentences = results.cell(results.records[0]).sentences()
    first = sentences[load_task("sva/obj").instances("test", 4, 0)[0].id]
    assert first.tokens[0] == "[CLS]" and first.tokens[first.target] == "[MASK]"
    assert first.slots[first.target] != "[CLS]" and first.slots[2] == "SUBJ"
    assert first.condition == "SS" and first.answer == ("is",) and first.against == ("are",)
    assert first.correct == (first.predicted == first.answer)


def test_a_store_by_a_newer_flowgauge_is_refused(make_plan) -> None:
    results = run(make_plan())
    path = Path(results.cell(results.records[0]).path) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(Exception, match="schema 99, this flowgauge reads up to 3"):
        run(make_plan())


def test_a_store_that_cannot_be_written_is_refused(make_plan, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write the store"):
        run(make_plan(store=str(tmp_path / "file" / "store")))


def test_memory_stores_work(make_plan) -> None:
    plan = make_plan(store="memory://bucket/results")
    assert run(plan).records == run(plan).records
    assert len(Store(plan.store).records()) == 1


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


@pytest.mark.parametrize("name", ["tokenizer_config.json", "vocab.json", "merges.txt", "config.json"])
def test_the_model_is_another_when_a_file_that_moves_tokens_is(tiny_model, tmp_path, name) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    before = model_fingerprint(str(folder))
    stored = json.loads((folder / name).read_text()) if (folder / name).exists() and name.endswith(".json") else {}
    (folder / name).write_text(json.dumps({**stored, "do_lower_case": "other"}))
    assert model_fingerprint(str(folder)) != before == model_fingerprint(str(tiny_model))


def test_other_weights_are_refused_when_the_files_are_known_after_loading_only(
    make_plan, tiny_model, tmp_path, monkeypatch
) -> None:
    plan = make_plan()
    run(plan)
    monkeypatch.setattr(loading_module, "model_fingerprint", lambda *_: None)
    with pytest.raises(UsageError, match="is not the one that sva/obj was explained with"):
        rescore(plan.store, ["path_share"])  # by its weights alone the model has another fingerprint than by its files


def test_a_plugin_that_leaves_python_fails_alone(make_plan, plug) -> None:
    leaves, whole = run(make_plan(methods=plug("leaves", "by-position"))).records
    assert (leaves.status, leaves.error, whole.status) == ("failed", "SystemExit: 0", "done")


def test_changed_weights_reach_no_other_cell(make_plan, plug) -> None:
    with pytest.raises(FlowgaugeError, match="'vandal' changed the model's weights"):
        run(make_plan(methods=plug("vandal", "by-position")))
    assert not Store(make_plan().store).records()


def test_an_earlier_failure_is_no_later_runs(make_plan, plug) -> None:
    assert run(make_plan(metrics=plug("broken"))).exit_code == 1
    assert run(make_plan(metrics=plug("token-sum"))).exit_code == 0
    assert rescore(make_plan().store, plug("token-sum:power=2")).exit_code == 0


def test_rescoring_leaves_a_damaged_cell_as_it_is(make_plan, plug) -> None:
    (record,) = run(make_plan()).records
    cell = Store(make_plan().store).find(record)
    next((Path(cell.path) / "explanations").iterdir()).write_bytes(b"")
    for _ in range(2):
        again = rescore(make_plan().store, plug("token-sum:power=2"))
        assert again.exit_code == 1 and "missing or damaged" in again.records[0].error
    assert cell.record() == record


@pytest.mark.parametrize("text", ["", '{"schema_version": 1', "[1]", '{"schema_version": "2x"}', '{"schema_version": 1}'])
def test_a_damaged_record_is_said_and_mended_with_its_scores(make_plan, plug, caplog, text) -> None:
    (record,) = run(make_plan()).records
    rescore(make_plan().store, plug("token-sum:power=2"))
    path = Path(Store(make_plan().store).find(record).path) / "record.json"
    path.write_text(text)
    assert Store(make_plan().store).records() == []
    assert "record.json is damaged" in caplog.text
    (mended,) = run(make_plan()).records
    assert mended.status == "done" and len(mended.scores) == 2


def test_a_damaged_score_is_computed_again(make_plan, rows_of) -> None:
    before = rows_of(results := run(make_plan()))
    (path,) = (Path(results.cell(results.records[0]).path) / "scores").iterdir()
    path.write_bytes(path.read_bytes()[:-9])
    (found,), (expected,) = rows_of(run(make_plan())).values(), before.values()
    assert found.equals(expected)


def test_a_long_run_into_a_file_says_where_it_is(make_plan, capsys, monkeypatch) -> None:
    monkeypatch.setattr("flowgauge.benchmark.engine.progress.PAUSE", 0.0)
    run(make_plan(), quiet=False)
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == "sva/obj: 4 of 4 steps after 0 min" and "sva/obj: by-position: 0 of 4 steps after 0 min" in told
    run(make_plan(limit=6), quiet=True)
    assert capsys.readouterr().err == ""
