"""`flowgauge.explain`: the same explanations as in a run, the question in words, methods as names, files and functions."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import flowgauge
from flowgauge.benchmark.store.sums import sealed_json
from flowgauge.core.errors import UnknownName, UsageError
from flowgauge.display.explain import explain, methods_of
from flowgauge.methods.base import explanations
from flowgauge.methods.base import method as declare
from flowgauge.models.layered import Layered
from flowgauge.tasks.instance import Instance

PLUGINS = Path(__file__).parents[1] / "benchmark" / "plugins.py"
TEXT = "the author near the guards [MASK] tall ."


@declare("by-length", gives={"tokens"})
def by_length(model, batch, scale: float = 1.0):
    """Every token scores the number of tokens."""
    return explanations(batch, tokens=scale * batch.attention_mask.double() * batch.attention_mask.sum(1, keepdim=True))


@pytest.fixture(scope="module")
def model(tiny_folder: Callable[..., Path]) -> Layered:
    return flowgauge.load_model(str(tiny_folder()))


def test_it_explains_as_a_run_does(tiny_folder, tmp_path):
    file = tmp_path / "one.tsv"
    file.write_text(f"sentence\tgood\tbad\n{TEXT}\tis\tare\n")
    named = {"tasks": str(file), "model": str(tiny_folder()), "store": str(tmp_path / "store"), "device": "cpu"}
    results = flowgauge.run(methods=["saliency"], metrics="none", **named)
    cell = results.cell(results.records[0])
    stored = cell.explanations(list(cell.sentences()))[0][0]
    explained = explain(TEXT, str(tiny_folder()), "saliency", good="is", bad="are", device="cpu")
    np.testing.assert_allclose(explained["saliency"].tokens, stored.tokens, rtol=1e-6)
    assert [word.text for word in explained.words] == ["[CLS]", *TEXT.split(), "[SEP]"]


def test_the_default_model_answers_a_text_with_a_gap():
    explained = explain(TEXT, good="is", bad="are", device="cpu")
    assert explained.model == "agreement-bert" and list(explained.explanations) == ["influence-patterns"]
    assert explained.question == (
        "Why does agreement-bert prefer 'is' to 'are' in the gap (answers that you named)? "
        f"q = logit(is) - logit(are) = {explained.q:.3g} logits."
    )
    assert explained.words[int(explained.word_scores["influence-patterns"].argmax())].text == "author"
    assert explained.q > 0 and explained.notes == ()


def test_a_decoder_has_its_own_word_in_the_place_of_removed_ones():
    text = "the authors that the chef likes"
    methods = ["leave-one-out", "leave-one-out:baseline=pad", "leave-one-out:baseline=zero"]
    found = explain(text, "agreement-gpt2", methods, good="are", bad="is").explanations
    left_out, pad, zero = (found[method].tokens for method in methods)
    assert (left_out == pad).all() and not (left_out == zero).all()
    with pytest.raises(UsageError, match="has no mask token; choose baseline pad, zero or mean"):
        explain(text, "agreement-gpt2", "leave-one-out:baseline=mask", good="are", bad="is")


def test_a_close_question_of_the_models_own_is_said_to_be_one():
    torn, sure, named = (
        explain("the author [MASK] tall", method="saliency", device="cpu"),
        explain("the author that the guards like [MASK] tall .", method="saliency", device="cpu"),
        explain("the author [MASK] tall", method="saliency", good="laughs", bad="sings", device="cpu"),
    )
    assert abs(torn.q) < math.log(2) < abs(sure.q) and abs(named.q) < math.log(2)
    (note,) = torn.notes
    assert f"(odds {math.exp(abs(torn.q)):.2f} to 1)" in note and "--good and --bad" in note and "full stop" in note
    assert sure.notes == () and named.notes == ()
    (tense,) = explain("the authors near the guard [MASK] tall .", method="saliency", device="cpu").notes
    assert "odds" in tense and "full stop" not in tense


def test_the_value_of_q_is_that_of_the_models_logits(model):
    explained = explain(TEXT, model, "saliency", good="is", bad="are")
    batch = flowgauge.encode(model, [Instance("i", (TEXT,), ("is",), ("are",))])
    logits = model.outputs(batch)[0][0]
    assert explained.q == pytest.approx(float(logits[batch.answer[0, 0]] - logits[batch.against[0, 0]]), rel=1e-5)
    assert ("not prefer" in explained.question) == (explained.q < 0)


def test_words_that_the_model_does_not_know_are_named(model):
    text = "the zebra [MASK] tall and wise ."
    explained = explain(text, model, "saliency", good="is", bad="are")
    assert explained.notes == (f"{model.name} does not know zebra, and, wise: it reads them as [UNK].",)


def test_questions_of_the_other_heads(tiny_folder):
    of = {head: flowgauge.load_model(str(tiny_folder(head=head))) for head in ("label", "score", "labels", "span")}
    assert (
        "(what the model predicts, against its strongest other class)?" in explain("the author", of["label"], "saliency").question
    )
    assert "give this score?" in explain("the author", of["score"], "saliency").question
    assert "'not rude' to 'rude'" in explain("the author", of["labels"], "saliency", good="not rude").question
    pair = explain("author ?", of["span"], "saliency", text2="the pilot is tall", good="pilot is", bad="tall")
    assert "'pilot is' to 'tall' as the answer" in pair.question
    assert [word.segment for word in pair.words] == [-1, 0, 0, -1, 1, 1, 1, 1, -1]


def test_a_counterpart_is_what_states_are_exchanged_with(model, tiny_folder, tmp_path):
    other = TEXT.replace("author", "authors")
    explained = explain(TEXT, model, ["eap-ig", "activation-patching"], good="is", bad="are", counterpart=other)
    file = tmp_path / "pair.jsonl"
    file.write_text(json.dumps({"sentence": TEXT, "good": "is", "bad": "are", "counterpart": other}))
    named = {"tasks": str(file), "model": str(tiny_folder()), "store": str(tmp_path / "store"), "device": "cpu"}
    results = flowgauge.run(methods=["eap-ig"], metrics="none", **named)
    cell = results.cell(results.records[0])
    stored = cell.explanations(list(cell.sentences()))[0][0]
    np.testing.assert_allclose(explained["eap-ig"].tokens, stored.tokens, rtol=1e-5, atol=1e-7)
    assert [i for i, score in enumerate(explained["eap-ig"].tokens) if score] == [2]


@pytest.mark.parametrize("other", ["the author near [MASK] tall .", TEXT, "the zebra near the guards [MASK] tall ."])
def test_a_counterpart_of_other_tokens_is_refused(model, other):
    with pytest.raises(UsageError, match="must be the text with other words of as many tokens in the same places"):
        explain(TEXT, model, "eap-ig", counterpart=other)


def test_methods_are_names_files_functions_and_objects(model):
    assert list(methods_of("saliency")) == ["saliency"]
    assert list(methods_of(["lime:samples=50", f"{PLUGINS}:by-position"])) == ["lime:samples=50", "by-position"]
    assert methods_of("lime:samples=50")["lime:samples=50"].samples == 50
    explained = explain(TEXT, model, by_length, good="is", bad="are")
    assert explained.word_scores["by-length"].tolist() == [10.0] * 10
    assert explain(TEXT, model, by_length(scale=2.0), good="is", bad="are").word_scores["by-length"].tolist() == [20.0] * 10


def test_random_methods_follow_the_seed(model):
    scores = [
        explain(TEXT, model, "random", good="is", bad="are", seed=seed).word_scores["random"].tolist() for seed in (0, 0, 1)
    ]
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.parametrize(
    ("arguments", "kind", "said"),
    [
        (("the author",), UsageError, "no model is named, and agreement-bert fills gaps"),
        ((" ",), UsageError, "the text is empty"),
        ((TEXT, None, "salienci"), UnknownName, "did you mean saliency"),
        ((TEXT, None, []), UsageError, "no method is named"),
        ((TEXT, None, 3), UsageError, "3 is no method"),
        ((TEXT, None, "diffmask-input"), UsageError, "flowgauge run --task TASK --method diffmask-input"),
        ((TEXT, "agreement-brt"), UnknownName, "agreement-bert"),
    ],
)
def test_refusals_say_what_to_do(arguments, kind, said, monkeypatch):
    with pytest.raises(UsageError) as refusal:
        explain(*arguments)
    assert said in str(refusal.value)


def test_a_model_that_flowgauge_trained_knows_whether_it_reads_pairs(tiny_folder, tmp_path):
    folder = tmp_path / "trained"
    shutil.copytree(tiny_folder(head="label"), folder)
    (folder / "training.json").write_bytes(sealed_json(json.dumps({"recipe": {"task": "sst2"}})))
    with pytest.raises(UsageError, match=r"was trained on single texts \(sst2\) and was given a pair"):
        explain("the author", str(folder), "saliency", text2="the pilot", device="cpu")
    assert explain("the author", str(folder), "saliency", device="cpu").q > 0


@pytest.mark.real
def test_a_real_classifier_with_sub_word_tokens(shared_models):
    explained = explain("An unbelievably wonderful movie.", str(shared_models / "minilm-sst2"), "leave-one-out", device="cpu")
    words = {word.text: word for word in explained.words}
    assert list(words) == ["[CLS]", "An", "unbelievably", "wonderful", "movie.", "[SEP]"]
    tokens = explained["leave-one-out"].tokens
    scores = explained.to_pandas().set_index("word").score
    assert len(words["movie."].tokens) == 2 and scores["movie."] == tokens[list(words["movie."].tokens)].sum()
    assert explained.sentence.answer == ("positive",) and scores.idxmax() == "wonderful"


def test_a_method_that_does_not_apply_is_named(tiny_folder):
    span = flowgauge.load_model(str(tiny_folder(head="span")))
    with pytest.raises(UsageError, match=r"method 'influence-patterns' cannot explain this: .*leave it out\."):
        explain("author ?", span, ["saliency", "influence-patterns"], text2="the pilot is tall")


def test_a_users_faulty_method_is_named(model):
    with pytest.raises(flowgauge.FlowgaugeError, match="too-few"):
        explain(TEXT, model, f"{PLUGINS}:too-few", good="is", bad="are")
