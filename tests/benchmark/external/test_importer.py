"""Explanations computed elsewhere: what is taken, what is refused, and that they score like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import LayerIntegratedGradients
from safetensors import numpy as safetensors
from tests.leaderboards.forged import edit_json, rekey, resign
from typer.testing import CliRunner

import flowgauge
from flowgauge.benchmark.external.folder_format import content_sum
from flowgauge.benchmark.store.record import Record
from flowgauge.benchmark.store.store import Store
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.cli import app
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.comparison.method_comparison import compare_methods
from flowgauge.leaderboards.submission.board import merge
from flowgauge.leaderboards.submission.bundle import pack
from flowgauge.leaderboards.submission.verify import verify
from flowgauge.methods.registry import METHODS, OUTSIDE

STEPS = 4
METRICS = ["ablated_accuracy", "comprehensiveness", "sufficiency", "loo_correlation"]
MADE = {"method": "captum-lig", "producer": "captum", "producer_version": "0.9", "task": "sva/obj", "limit": 8}


def by_captum(question: Any) -> dict[str, np.ndarray]:
    """A notebook's own integrated gradients: of the words, and of every layer's states, from a sentence of [MASK]."""
    from transformers import AutoModelForMaskedLM

    from flowgauge.models.zoo import ZOO

    bert = AutoModelForMaskedLM.from_pretrained(ZOO["agreement-bert"], attn_implementation="eager").eval()
    ids = torch.tensor([question.input_ids])
    baseline = torch.full_like(ids, question.input_ids[question.target])  # all [MASK]
    end = question.target

    def q(ids: torch.Tensor) -> torch.Tensor:
        logits = bert(input_ids=ids).logits[:, end]
        return logits[:, question.answer[0]] - logits[:, question.against[0]]

    def scores(layer: Any) -> np.ndarray:
        found = LayerIntegratedGradients(q, layer).attribute(ids, baseline, n_steps=STEPS, method="riemann_middle")
        return (found[0] if isinstance(found, tuple) else found).sum(-1)[0].detach().numpy()

    layers = [bert.bert.embeddings, *bert.bert.encoder.layer]
    tokens = scores(bert.bert.embeddings.word_embeddings)
    return {"tokens": tokens, "nodes": np.stack([scores(layer) for layer in layers]), "input_ids": ids[0].numpy()}


@pytest.fixture(scope="module")
def questions(agreement_model):
    return flowgauge.questions("sva/obj", limit=8, device="cpu")


@pytest.fixture(scope="module")
def scored(tmp_path_factory, questions) -> Path:
    """A store with the built-in method, the one that budgets are matched to, and captum's own; `handed` is beside it."""
    folder = tmp_path_factory.mktemp("outside")
    methods = [f"integrated-gradients:samples={STEPS}", "influence-patterns"]
    store = str(folder / "store")
    flowgauge.run(tasks="sva/obj", methods=methods, metrics=METRICS, limit=8, store=store, device="cpu")
    found = {question.id: by_captum(question) for question in questions}
    flowgauge.write_explanations(folder / "handed", found, same_for_predicted=all(q.correct for q in questions), **MADE)
    results = flowgauge.import_explanations(
        folder / "handed", store, [*METRICS, "sensitivity", "completeness_error"], device="cpu"
    )
    assert results.exit_code == 0
    return folder


def of_method(store: Path, name: str) -> Record:
    (found,) = [record for record in Store(str(store)).records() if record.method == name]
    return found


def test_captum_from_outside_scores_as_the_built_in_method_does(scored):
    ours, theirs = of_method(scored / "store", "integrated-gradients"), of_method(scored / "store", "outside.captum-lig")
    store = Store(str(scored / "store"))
    for metric in METRICS:
        one, other = store.find(ours).rows(f"{metric}@1"), store.find(theirs).rows(f"{metric}@1")
        keys = ["instance", "variant", "draw"]
        both = one.merge(other, on=keys, suffixes=("", "_outside"), validate="one_to_one")
        assert len(both) == len(one) == len(other) > 8
        np.testing.assert_allclose(both["value"], both["value_outside"], atol=2e-5, err_msg=metric)
    matched = {a.variant: a.value for a in ours.scores["ablated_accuracy@1"].aggregates}
    assert np.isfinite(matched["embedding/matched/predicted"]), "the budget of influence-patterns was found"


def test_metrics_that_ask_again_say_why_they_cannot(scored):
    scores = of_method(scored / "store", "outside.captum-lig").scores
    assert scores["sensitivity@1"].status == "not-applicable" and "needs the method itself" in scores["sensitivity@1"].reason
    assert "does not claim that its scores sum" in scores["completeness_error@1"].reason


def test_its_identity_says_where_it_came_from(scored):
    record = of_method(scored / "store", "outside.captum-lig")
    (part,) = Store(str(scored / "store")).find(record).parts()
    assert record.key["method"] == {
        "name": "outside.captum-lig", "version": "1", "settings": {}, "source": "outside", "producer": "captum 0.9",
    }  # fmt: skip
    assert record.key["explanations"] == content_sum([part]) and record.cost is None
    assert "n/a: it was explained elsewhere" in CliRunner().invoke(app, ["show", str(scored / "store")]).stdout
    assert not [name for name in METHODS.entries() if name.startswith(OUTSIDE)]
    with pytest.raises(UsageError, match="marks explanations that were computed elsewhere"):
        flowgauge.method("outside.mine", gives="tokens")


def test_the_same_folder_twice_is_one_cell_and_a_metric_more(scored, tmp_path):
    shutil.copytree(scored / "store", tmp_path / "store")
    before = of_method(tmp_path / "store", "outside.captum-lig")
    results = flowgauge.import_explanations(scored / "handed", str(tmp_path / "store"), ["concentration"], device="cpu")
    assert [r.cell for r in results.records] == [before.cell]
    assert set(results.records[0].scores) == {*before.scores, "concentration@1"}


def test_several_tasks_are_refused_before_any_is_sampled():
    with pytest.raises(UsageError, match="of one task at a time, got sva/obj, squad: name one of them"):
        flowgauge.questions(["sva/obj", "squad"], device="cpu", split="no-such-split")  # sampling would name the split


def test_explanations_can_be_stored_without_a_score(scored, tmp_path):
    (record,) = flowgauge.import_explanations(scored / "handed", str(tmp_path), [], device="cpu").records
    assert record.status == "done" and record.instances == 8 and not record.scores


def test_the_whole_way_to_a_board(scored, tmp_path):
    pack(str(scored / "store"), tmp_path / "bundle", "a notebook's author")
    checked = verify(tmp_path / "bundle", ScoreRecomputer(device="cpu"), 3)
    assert checked.problems == () and checked.trust == "re-scored"
    board = tmp_path / "board"
    merge(tmp_path / "bundle", str(board), ScoreRecomputer(device="cpu"), sample=2)
    assert of_method(board, "outside.captum-lig").scores["ablated_accuracy@1"].status == "done"
    (side, *_) = compare_methods(str(board), "comprehensiveness", ["sva/obj"])
    pair = next(d for d in side.pairs if {d.one, d.other} == {"outside.captum-lig", "integrated-gradients"})
    assert pair.value == pytest.approx(0, abs=1e-6)
    pytest.importorskip("altair")
    pytest.importorskip("vl_convert")
    from flowgauge.leaderboards.site.build import build

    build([str(board)], tmp_path / "site")
    (page,) = (tmp_path / "site" / "methods").glob("*captum-lig*.html")
    text = page.read_text()
    assert "computed outside flowgauge, by captum 0.9" in text and "re-scored" in text


@pytest.fixture
def bundle(scored, tmp_path) -> Path:
    pack(str(scored / "store"), tmp_path / "bundle", "me", methods=["outside.captum-lig", "influence-patterns"])
    return tmp_path / "bundle"


def found(bundle: Path) -> str:
    return "\n".join(problem.what for problem in verify(bundle).problems)


def test_a_cell_that_hides_where_it_came_from_is_caught(bundle):
    def hide(stored):
        stored["method"] = stored["key"]["method"]["name"] = "integrated-gradients"

    rekey(bundle, "outside.captum-lig", hide)
    assert "half marked as explanations from outside" in found(bundle)


def test_a_name_that_looks_like_a_method_of_ours_is_caught(bundle):
    def alike(stored):
        stored["method"] = stored["key"]["method"]["name"] = "outside.Integrated_Gradients"

    rekey(bundle, "outside.captum-lig", alike)
    assert "is taken by a method that flowgauge runs itself (integrated-gradients)" in found(bundle)


def test_settings_that_are_not_those_of_the_key_are_caught(bundle):
    rekey(bundle, "outside.captum-lig", lambda stored: stored.update(settings={"samples": 500}))
    assert "settings or seed of its record are not those of its key" in found(bundle)


def test_other_explanations_under_the_same_key_are_caught(bundle):
    (path,) = bundle.glob("cells/agreement-bert/sva/obj/outside.captum-lig-*/explanations/*")
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    arrays = {name: array.copy() for name, array in safetensors.load(data).items()}
    arrays[next(name for name in arrays if name.startswith("tokens") and name.endswith("values"))][0] += 1e-3
    path.write_bytes(safetensors.save(arrays, {"flowgauge": header["flowgauge"].replace("flowgauge-seal:", "")}))
    resign(bundle)
    assert "its explanations are not those whose sum its key holds" in found(bundle)


def test_what_is_wrong_with_a_folder_is_said_in_plain_words(tmp_path, questions):
    right = {q.id: np.ones(len(q.tokens)) for q in questions}
    first = questions[0].id

    def refused(spoilt: dict[str, Any], **manifest: Any) -> str:
        flowgauge.write_explanations(tmp_path / "handed", spoilt, **{**MADE, "same_for_predicted": True, **manifest})
        with pytest.raises(UsageError) as error:
            flowgauge.import_explanations(tmp_path / "handed", str(tmp_path / "store"), device="cpu")
        assert not list((tmp_path / "store").rglob("*.safetensors"))
        return str(error.value)

    assert f"1 of 8 instances are not explained, first {first!r}" in refused({n: v for n, v in right.items() if n != first})
    assert "1 explained instances are not among the 8 that the manifest asks of 'sva/obj', first 'x/y'" in refused(
        {**right, "x/y": np.ones(3)}
    )
    assert "the view 'tokens' has shape (3,), expected (11,) for 11 tokens" in refused({**right, first: np.ones(3)})
    assert "must have 1 axes" in refused({**right, first: np.ones((11, 2))})
    assert f"instance {first!r}: the view 'tokens' has 1 of 11 values that are NaN or infinite" in refused(
        {**right, first: [np.inf, *[1] * 10]}
    )
    assert "its 2 input_ids are not the 11 tokens of the model" in refused(
        {**right, first: {"tokens": np.ones(11), "input_ids": [2, 3]}}
    )
    assert "the view 'nodes' has shape (3, 11), expected (7, 11)" in refused({**right, first: {"nodes": np.ones((3, 11))}})
    assert "a gate or a fill, which belong to a mask" in refused({**right, first: {"gate": np.ones((6, 11))}})
    assert "not among the 4" in refused(right, limit=4)
    assert "no task is called 'sva/objs': did you mean sva/obj" in refused(right, task="sva/objs")


def test_a_wrong_answer_needs_its_own_explanation(tmp_path, tiny_bert):
    asked = flowgauge.questions("sva/obj", str(tiny_bert), limit=8, device="cpu")
    wrong = [q for q in asked if not q.correct]
    assert wrong and all(q.predicted == q.against and q.predicted_against == q.answer for q in wrong)
    scores = {q.id: np.arange(len(q.tokens)) for q in asked}
    made = {**MADE, "model": str(tiny_bert)}
    flowgauge.write_explanations(tmp_path / "one", scores, **made)
    store = str(tmp_path / "store")
    with pytest.raises(UsageError, match=r"metrics ask about its own answer too: hand in '.*/predicted/<view>'"):
        flowgauge.import_explanations(tmp_path / "one", store, ["comprehensiveness"], device="cpu")
    flowgauge.write_explanations(tmp_path / "two", scores, predicted={q.id: -scores[q.id] for q in wrong}, **made)
    (record,) = flowgauge.import_explanations(tmp_path / "two", store, ["comprehensiveness"], device="cpu").records
    gold, guided = Store(store).find(record).explanations([wrong[0].id])
    np.testing.assert_array_equal(guided[0].tokens, -gold[0].tokens)
    with pytest.raises(UsageError, match="1 explained instances are not among"):
        flowgauge.write_explanations(tmp_path / "three", scores, predicted={"nobody": [1.0]}, **made)
        flowgauge.import_explanations(tmp_path / "three", store, ["comprehensiveness"], device="cpu")


def test_cells_of_several_seeds_are_of_one_method(tmp_path, questions):
    rng = np.random.default_rng(0)
    for seed in (0, 1):
        scores = {q.id: rng.random(len(q.tokens)) for q in questions}
        flowgauge.write_explanations(tmp_path / str(seed), scores, seed=seed, same_for_predicted=True, **MADE)
        flowgauge.import_explanations(tmp_path / str(seed), str(tmp_path / "store"), ["comprehensiveness"], device="cpu")
    result = CliRunner().invoke(app, ["compare", str(tmp_path / "store"), "--metric", "stability"])
    assert result.exit_code == 0 and "outside.captum-lig" in result.stdout and "0, 1" in result.stdout, result.output


def test_the_commands(tmp_path):
    asked = CliRunner().invoke(app, ["questions", "--task", "sva/obj", "--limit", "2", "--device", "cpu"])
    lines = [json.loads(line) for line in asked.stdout.splitlines()]
    assert [line["tokens"][line["target"]] for line in lines] == ["[MASK]"] * 2
    handed, store = tmp_path / "handed", str(tmp_path / "store")
    scores = {line["id"]: np.arange(len(line["input_ids"])) for line in lines}
    flowgauge.write_explanations(handed, scores, **{**MADE, "limit": 2, "same_for_predicted": True})
    call = ["import", str(handed), "--store", store, "--metric", "comprehensiveness", "--device", "cpu"]
    result = CliRunner().invoke(app, call)
    assert result.exit_code == 0 and "outside.captum-lig" in result.stdout, result.output
    assert "outside.captum-lig" in CliRunner().invoke(app, ["show", store]).stdout
    edit_json(handed / "manifest.json", lambda data: data | {"method": "saliency"})
    refused = CliRunner().invoke(app, call)
    assert refused.exit_code == 2 and refused.stderr.count("\n") == 1 and "such as captum-saliency" in refused.stderr
