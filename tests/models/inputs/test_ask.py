"""The question about one text: what is asked of each head, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from flowgauge.core.errors import UsageError
from flowgauge.models.batch import Batch
from flowgauge.models.inputs.ask import ask
from flowgauge.models.inputs.encode import encode
from flowgauge.models.load import load_model
from flowgauge.tasks.instance import Instance

GAP = "the author [MASK] tall ."


@pytest.fixture(scope="module")
def heads(tiny_folder: Callable[..., Path]):
    """A random model of each head."""
    return {head: load_model(str(tiny_folder(head=head))) for head in ("masked", "label", "span", "score", "labels")}


def test_a_masked_model_is_asked_about_its_two_likeliest_words(heads):
    model = heads["masked"]
    asked = ask(model, GAP)
    logits = model.outputs(asked.batch)[0][0]
    special = set(model.tokenizer.all_special_ids)
    best = [token for token in logits.argsort(descending=True).tolist() if token not in special][:2]
    assert [asked.batch.answer.item(), asked.batch.against.item()] == best
    assert [*asked.instance.answer, *asked.instance.against] == [model.tokenizer.decode([token]) for token in best]
    assert asked.chosen == "the two words that the model finds likeliest; name good and bad to ask about others"


def test_named_words_are_asked_about_as_a_task_asks(heads):
    asked = ask(heads["masked"], GAP, good="is", bad="are")
    of_task = encode(heads["masked"], [Instance("i", (GAP,), ("is",), ("are",))])
    for name in ("ids", "answer", "against", "target", "word_ids"):
        assert torch.equal(getattr(asked.batch, name), getattr(of_task, name))
    assert asked.batch.pairwise
    alone = ask(heads["masked"], GAP, good=str(ask(heads["masked"], GAP).instance.answer[0]))
    assert alone.instance == ask(heads["masked"], GAP).instance


def test_a_classifier_is_asked_about_its_prediction(heads):
    text = "the author is tall"
    asked = ask(heads["label"], text)
    logits = heads["label"].outputs(asked.batch)[0][0]
    assert [asked.batch.answer.item(), asked.batch.against.item()] == logits.argsort(descending=True).tolist()
    named = ask(heads["label"], text, good="negative")
    assert [named.batch.answer.item(), named.batch.against.item()] == [0, 1]


def test_labels_that_may_each_be_true_and_scores(heads):
    text = "the author is tall"
    asked = ask(heads["labels"], text)
    differences = []
    for label in ("toxic", "rude", "fine"):
        logits = heads["labels"].outputs(encode(heads["labels"], [Instance("i", (text,), (label,))]))[0][0]
        differences.append(float(logits[1] - logits[0]))
    assert asked.instance.answer == (("toxic", "rude", "fine")[differences.index(max(differences))],)
    assert ask(heads["score"], text).batch.quantity.form == "logit"


def test_spans_are_predicted_or_named(heads):
    passage = "the author is tall"
    asked = ask(heads["span"], "author ?", passage)
    starts, ends = (logits[0] for logits in heads["span"].outputs(asked.batch))
    assert asked.batch.answer[0].tolist() == [int(starts.argmax()), int(ends.argmax())]
    named = ask(heads["span"], "author ?", passage, good="author is", bad="tall")
    assert named.instance.answer == (4, 13)
    assert named.batch.answer[0].tolist() == [5, 6] and named.batch.against[0].tolist() == [7, 7]


@pytest.mark.parametrize(
    ("head", "texts", "named", "said"),
    [
        ("masked", (" ",), {}, "the text is empty: give a sentence in quotes."),
        ("masked", ("the author",), {}, "has no gap: write [MASK] once"),
        ("masked", ("[MASK] [MASK]",), {}, "has 2 gaps: write [MASK] once"),
        ("masked", (GAP, "the pilot"), {}, "was given a pair: write both into one text"),
        ("masked", (GAP + " tall" * 40,), {}, "has 47 tokens, more than the 40 that model"),
        ("masked", (GAP,), {"good": "supercalifragilistic"}, "does not know it: name another word"),
        ("masked", (GAP,), {"good": "is", "bad": "is"}, "so q would be 0: name another word"),
        ("masked", (GAP,), {"bad": "is"}, "name the answer too, as --good"),
        ("label", (GAP,), {}, "fills no gaps: leave it out, or choose a masked LM"),
        ("label", ("the author", ""), {}, "the second text is empty"),
        ("label", ("the author " * 30,), {}, "shorten it by 22 tokens"),
        ("label", ("the author",), {"good": "neutral"}, "has no class 'neutral': name one of negative, positive."),
        ("score", ("the author",), {"good": "high"}, "gives a score and no classes"),
        ("labels", ("the author",), {"good": "nope"}, "knows toxic, rude, fine"),
        ("span", ("author ?",), {}, "give the passage as --text2"),
        ("span", ("author ?", "the author"), {"good": "pilot"}, "does not stand in the second text: copy it from there."),
    ],
)  # fmt: skip
def test_what_does_not_suit_the_model_is_refused_with_a_remedy(heads, head, texts, named, said):
    with pytest.raises(UsageError) as refusal:
        ask(heads[head], *texts, **named)
    assert said in str(refusal.value) and "--on-split" not in str(refusal.value)


def test_a_pair_for_a_model_of_one_segment_is_refused(heads):
    config = heads["label"].hf.config
    try:
        config.type_vocab_size = 1
        with pytest.raises(UsageError, match="reads single texts and was given a pair: leave the second text out"):
            ask(heads["label"], "the author", "the pilot")
    finally:
        config.type_vocab_size = 2


def test_words_of_sub_word_tokens_are_no_fillings(heads):
    """Only tokens that the tokenizer reads back as themselves are asked about."""
    model = heads["masked"]
    decode = model.tokenizer.decode
    best = str(ask(model, GAP).instance.answer[0])
    try:
        model.tokenizer.decode = lambda ids, **more: "##s" if decode(ids) == best else decode(ids, **more)
        assert best not in ask(model, GAP).instance.answer + ask(model, GAP).instance.against
    finally:
        del model.tokenizer.decode


def going_on(*likeliest: str) -> Any:
    """What `ask` needs of a model of the next word whose likeliest tokens are given; a part of a word is none."""
    vocabulary = ["<s>", "<unk>", "the", "author", "is", "are", "tall", "##s"]
    raw = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single="<s> $A <s>", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", unk_token="<unk>")
    tokenizer.decode = lambda ids, **more: vocabulary[ids[0]].replace("##s", "<s>")

    def outputs(batch: Batch) -> tuple[torch.Tensor]:
        assert batch.target is not None and batch.target.tolist() == [n - 1 for n in batch.lengths]
        logits = torch.zeros(len(batch), len(vocabulary))
        for place, word in enumerate(likeliest):
            logits[:, vocabulary.index(word)] = 10.0 - place
        return (logits,)

    return SimpleNamespace(
        tokenizer=tokenizer, name="tiny-gpt", head="next", max_tokens=10, one_target=True, device=torch.device("cpu"), labels={},
        dtype=torch.float32, outputs=outputs,
    )  # fmt: skip


@pytest.mark.parametrize("text", ["the author", "the author [MASK]", "the author [MASK] ."])
def test_a_model_of_the_next_word_is_asked_about_the_two_likeliest_words_behind_the_text(text):
    model = going_on("<s>", "##s", "is", "tall", "are")
    asked = ask(model, text)
    assert (asked.instance.answer, asked.instance.against) == (("is",), ("tall",)), "tokens that are no words are passed over"
    assert model.tokenizer.convert_ids_to_tokens(asked.batch.ids[0].tolist()) == ["<s>", "the", "author"]
    named = ask(model, text, good="are")
    assert (named.instance.answer, named.instance.against) == (("are",), ("is",))
    assert torch.equal(named.batch.target, torch.tensor([2]))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("the author [MASK] tall",), "end the text where the next word is to stand, or choose a masked LM."),
        (("[MASK] tall",), "end the text where the next word is to stand"),
        (("[MASK]",), "has nothing to go on with: end the text"),
        (("the author", "tall"), "goes on with one text and was given a pair: write both into one text."),
        (("the [MASK] [MASK]",), "needs [MASK] once at most"),
        (("the author " * 9,), "shorten it by 9 tokens"),
    ],
)
def test_what_a_model_of_the_next_word_cannot_go_on_with_is_refused_with_a_remedy(texts, said):
    with pytest.raises(UsageError) as refusal:
        ask(going_on("is", "are"), *texts)
    assert said in str(refusal.value) and "--on-split" not in str(refusal.value)
