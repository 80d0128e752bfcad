"""From instances to batches: order, padding, answers, seeds, cut texts."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from flowgauge.core.errors import UsageError
from flowgauge.models.flow.trace import trace_bytes
from flowgauge.models.inputs.encode import batches, encode, relabel, reseed, token_slots
from flowgauge.models.load import load_model
from flowgauge.models.outputs import correct, prediction, value
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.registry import TASKS, load_task

FAMILIES = ["bert", "roberta", "electra", "distilbert"]


def pair(text="the author [MASK] tall .", answer=("is",), against=("are",), **more):
    return Instance(id=more.pop("id", "i"), segments=(text,), answer=answer, against=against, **more)


def test_a_masked_instance_by_hand(tiny_flow):
    instance = TASKS.create("sva/app").instances("test", 4, 0)[1]
    batch = encode(tiny_flow, [instance, pair()])
    words = ["[CLS]", *instance.segments[0].split(), "[SEP]"]
    tokenizer = tiny_flow.tokenizer
    assert tokenizer.convert_ids_to_tokens(batch.ids[0].tolist()) == words
    assert batch.target.tolist() == [words.index("[MASK]"), 3]
    assert tokenizer.convert_ids_to_tokens(batch.answer[:, 0].tolist()) == [instance.answer[0], "is"]
    assert batch.attention_mask[1].tolist() == [True] * 7 + [False] * (len(words) - 7)
    assert batch.word_ids[1, :8, 1].tolist() == [-1, 0, 1, 2, 3, 4, -1, -1]
    assert token_slots(batch, 0, instance) == ["[CLS]", *instance.slots, "[SEP]"]
    assert token_slots(batch, 1, pair()) == ["[CLS]", "0", "1", "2", "3", "4", "[SEP]"]
    assert batch.pairwise


def test_two_segments_and_labels_by_name(tiny_flows, agreement_model):
    two = encode(agreement_model, [Instance("a", ("the author is tall .", "the chef [MASK] old ."), ("is",), ("are",))])
    assert two.token_type_ids[0].tolist() == [0] * 7 + [1] * 6 and two.target.tolist() == [9]
    model = tiny_flows("bert", "label")
    batch = encode(model, [Instance("a", ("the author is tall .", "the chef is old ."), ("Positive",))])
    assert batch.word_ids[0, :, 0].tolist() == [-1, 0, 0, 0, 0, 0, -1, 1, 1, 1, 1, 1, -1]
    assert batch.answer.tolist() == [[1]] and batch.against.tolist() == [[0]] and batch.target.tolist() == [0]
    with pytest.raises(UsageError, match=r"has label 'meh', but model .* knows negative, positive \(0 to 1\)"):
        encode(model, [Instance("a", ("the author",), ("meh",))])
    with pytest.raises(UsageError, match="has label 2"):
        encode(model, [Instance("a", ("the author",), (2,))])


def test_relabel_asks_about_the_predicted_answer(tiny_flows):
    for head in ("masked", "label"):
        model = tiny_flows("bert", head)
        texts = [
            f"the {n} {'[MASK]' if head == 'masked' else 'is'} tall ." for n in ("author", "chef", "guards", "king", "queen")
        ]
        given = [pair(t, id=t) if head == "masked" else Instance(t, (t,), (0,)) for t in texts]
        batch = encode(model, given)
        guided = relabel(model, batch)
        outputs = model.outputs(batch)
        right = correct(outputs, batch)
        assert correct(outputs, guided).all() and (value(outputs, guided) >= 0).all()
        assert ((guided.answer == batch.answer).all(1) == right).all()
        assert torch.allclose(value(outputs, guided), torch.where(right, 1, -1) * value(outputs, batch))
        assert guided.quantity.label == "predicted" and batch.quantity.label == "gold"


def test_seeds_belong_to_the_instance_and_caches_to_the_rows(tiny_flow):
    batch = encode(tiny_flow, [pair(id="a"), pair(id="b")])
    again = reseed(batch, 5)
    assert again.cache is batch.cache and again.seeds != batch.seeds
    assert reseed(batch.rows(torch.tensor([1])), 5).seeds == again.seeds[1:]
    assert batch.rows(torch.tensor([1])).cache is not batch.cache


def test_batches_are_sorted_cut_and_counted(tiny_flow, caplog):
    short, long = pair(id="short"), pair("the author that the chef likes [MASK] tall .", id="long")
    odd = pair("the zebra [MASK] tall .", answer=("is",), against=("zzz",), id="odd")
    made = batches(tiny_flow, [long, short, short], batch_size=2)
    assert [b.names for b in made.batches] == [("short", "short"), ("long",)]
    assert batches(tiny_flow, [long, short], max_tokens=8).skipped == ("long: 11 tokens, more than 8",)
    told = "1 of the 2 instances drawn are left out and 1 stay; first: long: 11 tokens, more than 8"
    assert caplog.messages == [told]
    with pytest.raises(UsageError, match="the answer 'zzz' of instance 'odd' must be one token"):
        batches(tiny_flow, [short, odd])
    skipping = batches(tiny_flow, [short, odd], on_split="skip")
    assert [b.names for b in skipping.batches] == [("short",)] and skipping.skipped[0].startswith("odd: the answer 'zzz'")
    with pytest.raises(UsageError, match="none of the 1 instances is left"):
        batches(tiny_flow, [odd], on_split="skip")


def test_instances_must_all_name_a_competing_output_or_none(tiny_flow):
    with pytest.raises(UsageError, match="some do not"):
        encode(tiny_flow, [pair(), pair(against=())])


@pytest.mark.real
def test_a_real_classifier_gives_its_published_accuracy(shared_models, shared_data):
    from flowgauge.tasks.registry import load_task

    model = load_model(str(shared_models / "minilm-sst2"))
    made = batches(model, load_task(str(shared_data / "sst2" / "dev.tsv")).instances("test", None, 0), max_tokens=17)
    assert sum(map(len, made.batches)) == 220 and len(made.skipped) == 652
    right = sum(int(correct(model.outputs(b), b).sum()) for b in made.batches)
    assert right == 199  # .905


@pytest.mark.parametrize("head", ["masked", "label", "span"])
def test_a_model_that_answers_with_nan_is_refused(tiny_flows, head) -> None:
    model = tiny_flows("bert", head)
    texts, labels = ("the guard likes", "the guard likes the tall chef"), {"no": 0, "yes": 1} if head == "label" else None
    asked = [{"masked": pair(), "label": Instance("i", texts, ("no",)), "span": Instance("i", texts, (16, 29))}[head]]
    batch = encode(model, asked, labels=labels)
    next(model.parameters()).data.fill_(torch.nan)
    said = "answers 'i' with NaN: its weights are damaged, copy or train it again"
    with pytest.raises(UsageError, match=said):
        relabel(model, replace(batch, cache={}))
    if head != "masked":
        with pytest.raises(UsageError, match=said):
            encode(model, asked, labels=labels)


def test_only_path_samples_make_batches_smaller(tiny_flow, monkeypatch) -> None:
    instances = load_task("sva/obj").instances("test", 8, 0)
    monkeypatch.setattr("flowgauge.models.inputs.encode.TRACE_BUDGET", 3 * trace_bytes(tiny_flow, 11, 50))
    assert [len(b) for b in batches(tiny_flow, instances).batches] == [3, 3, 2]
    assert [len(b) for b in batches(tiny_flow, instances, samples=1).batches] == [8]


@pytest.fixture
def classifier(tiny_flows: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The tiny classifier with its two outputs called otherwise; its own names come back afterwards."""
    model = tiny_flows("bert", "label")
    kept = dict(model.hf.config.id2label)

    def named(*names: str) -> Any:
        model.hf.config.id2label = dict(enumerate(names))
        return model

    yield named
    model.hf.config.id2label = kept


def test_answers_follow_the_mapping(classifier: Callable[..., Any]) -> None:
    model, given = classifier("positive", "negative"), [Instance("a", ("the author",), ("positive",))]
    assert encode(model, given).answer.tolist() == [[0]]
    assert encode(model, given, labels={"negative": 0, "positive": 1}).answer.tolist() == [[1]]
    assert batches(model, given, labels={"negative": 0, "positive": 1}).batches[0].answer.tolist() == [[1]]


def test_long_texts_are_cut_longest_first_with_one_counted_warning(
    tiny_flows: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_flows("bert", "label")
    short = Instance("short", ("the author",), (0,))
    pair = Instance("pair", ("the author " * 25, "the chef is old"), (1,))
    with caplog.at_level(logging.WARNING):
        made = batches(model, [pair, short, Instance("long", ("the " * 50,), (1,))])
    (said,) = caplog.messages
    assert said.startswith("2 of 3 texts are longer than the 40 tokens") and said.endswith("by 17 tokens at most.")
    assert made.cut == 2 and made.skipped == ()
    (batch,) = made.batches
    assert batch.lengths == [4, 40, 40]
    row = batch.names.index("pair")
    kept = batch.word_ids[row].tolist()
    assert sum(segment == 1 for segment, _ in kept) == 4  # the shorter text is whole
    assert sum(segment == 0 for segment, _ in kept) == 40 - 3 - 4
    whole = encode(model, [Instance("cut", ("the " * 38,), (1,))])
    assert torch.equal(batch.ids[batch.names.index("long")], whole.ids[0])
    assert batches(model, [pair, short], max_tokens=40).skipped == ("pair: 57 tokens, more than 40",)


def test_roberta_reads_two_tokens_less_than_it_has_positions(tiny_flows: Callable[..., Any]) -> None:
    made = batches(tiny_flows("roberta", "label"), [Instance("long", ("the " * 50,), (1,))])
    assert (made.cut, made.batches[0].lengths) == (1, [38])
    assert all(torch.isfinite(logits).all() for logits in tiny_flows("roberta", "label").outputs(made.batches[0]))


CONTEXT = "the guard likes the tall chef"


def asked(name="i", context=CONTEXT, answer=(16, 29), **more):
    return Instance(name, ("the guard likes", context), answer, **more)


@pytest.fixture
def model(tiny_flows):
    return tiny_flows("bert", "span")


def test_the_strongest_other_position_of_each_head_is_held_against_and_never_padding(model):
    batch = encode(model, [asked(), asked("longer", CONTEXT + " " + CONTEXT)])
    outputs = model.outputs(batch)
    for row, length in enumerate(batch.lengths):
        for head, logits in enumerate(outputs):
            assert (logits[row] == -torch.inf).tolist() == [at >= length for at in range(logits.shape[1])]
            others = [at for at in range(length) if at != batch.answer[row, head]]
            assert batch.against[row, head] == max(others, key=lambda at: float(logits[row, at]))
    expected = sum(lo.gather(1, batch.answer[:, [h]]) - lo.gather(1, batch.against[:, [h]]) for h, lo in enumerate(outputs))
    assert torch.allclose(value(outputs, batch), expected[:, 0])
    guided = relabel(model, batch)
    assert guided.answer.tolist() == [[int(logits[row].argmax()) for logits in outputs] for row in range(2)]
    assert correct(outputs, guided).all() and (value(outputs, guided) > 0).all()


def test_of_several_right_answers_the_models_own_is_explained(model):
    spans = [(0, 3), (4, 9), (16, 29), (20, 29)]
    logits = model.outputs(encode(model, [asked()]))
    by_hand = [
        sum(float(lo[0, at]) for lo, at in zip(logits, encode(model, [asked(answer=s)]).answer[0], strict=True)) for s in spans
    ]
    best = int(np.argmax(by_hand))
    given = asked(answer=spans[0], also=tuple(spans[1:]))
    assert encode(model, [given]).answer.tolist() == encode(model, [asked(answer=spans[best])]).answer.tolist()


def test_a_model_that_gives_any_of_the_right_answers_is_right(models, tiny_flows):
    """Every span of words of a passage counts as right: then the prediction is, if it is a span of the passage at all."""
    seen = set()
    for seed in range(1, 9):
        model = tiny_flows("bert", "span", seed)
        ends = [(word.start(), word.end()) for word in re.finditer(r"\S+", CONTEXT)]
        spans = [(a, d) for a, _ in ends for _, d in ends if a < d]
        batch = encode(model, [asked(answer=spans[0], also=tuple(spans[1:]))])
        back = encode(model, [asked(answer=spans[-1], also=tuple(spans[-2::-1]))])
        assert batch.answer.tolist() == back.answer.tolist()  # the order of the answers does not matter
        outputs = model.outputs(batch)
        first, last = prediction(outputs, batch)[0].tolist()
        right = bool(correct(outputs, batch))
        assert right == (5 <= first <= last <= 10)
        seen.add(right)
    assert seen == {False, True}
