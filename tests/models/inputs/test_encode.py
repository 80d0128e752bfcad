"""From instances to batches, and models from folders."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.core.errors import UnfitSentence, UsageError
from flowgauge.models.flow.trace import trace_bytes
from flowgauge.models.inputs.encode import batches, encode, relabel, reseed, token_slots
from flowgauge.models.load import load_model
from flowgauge.models.outputs import correct, value
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.registry import TASKS, load_task

FAMILIES = ["bert", "roberta", "electra", "distilbert"]


def pair(text="the author [MASK] tall .", answer=("is",), against=("are",), **more):
    return Instance(id=more.pop("id", "i"), segments=(text,), answer=answer, against=against, **more)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["masked", "label", "span"])
def test_folders_of_every_family_load_and_equal_hugging_face(tiny_flows, family, head):
    model = tiny_flows(family, head)
    texts = ["the author is tall .", "the guard that the chef likes is old ."]
    make = {
        "masked": lambda i, t: pair(t.replace(" is ", " [MASK] ")),
        "label": lambda i, t: Instance(str(i), (t,), (i,)),
        "span": lambda i, t: Instance(str(i), ("is the author tall", t), (4, 10)),
    }[head]
    batch = encode(model, [make(i, t) for i, t in enumerate(texts)])
    inputs = {"input_ids": batch.ids, "attention_mask": batch.attention_mask.long()}
    with torch.no_grad():
        made = model.hf(**inputs, **({} if family == "distilbert" else {"token_type_ids": batch.token_type_ids}))
    if head == "span":
        expected, found = made.end_logits[batch.attention_mask], model.outputs(batch)[1][batch.attention_mask]
    else:
        expected = made.logits[torch.arange(2), batch.target] if head == "masked" else made.logits
        found = model.outputs(batch)[0]
    assert (found - expected).abs().max() < 1e-10 * max(1, float(expected.abs().max()))
    assert model.head == head


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


def test_words_in_slots_must_be_known(tiny_flow):
    slotted = pair("the zebra [MASK] .", slots=("the", "SUBJ", "MASK", "."))
    with pytest.raises(UsageError, match=r"the word 'zebra' of instance 'i' must be one token, but model .* does not know it"):
        encode(tiny_flow, [slotted])


def test_refusals_name_the_remedy(tiny_flow, tiny_folder, tmp_path):
    with pytest.raises(UsageError, match=r"needs \[MASK\] exactly once .* found 0"):
        encode(tiny_flow, [pair("the author is tall .")])
    with pytest.raises(UsageError, match=r"53 tokens, more than the 40 .* --on-split skip"):
        encode(tiny_flow, [pair("the " * 50 + "[MASK]")])
    with pytest.raises(UsageError, match="some do not"):
        encode(tiny_flow, [pair(), pair(against=())])
    with pytest.raises(UsageError, match="did you mean agreement-bert"):
        load_model("agrement-bert")
    with pytest.raises(UsageError, match="no model folder"):
        load_model("./nowhere")
    with pytest.raises(UsageError, match="the Hub cannot be reached"):
        load_model("some-model-that-is-nowhere")
    with pytest.raises(UsageError, match="no dtype is called 'float8'"):
        load_model("agreement-bert", dtype="float8")
    with pytest.raises(UsageError, match="device 'cuda:99' cannot be used here"):
        load_model("agreement-bert", device="cuda:99")
    folder = shutil.copytree(tiny_folder(), tmp_path / "headless")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    with pytest.raises(UsageError, match="was saved as BertModel, which has neither"):
        load_model(str(folder))


def test_padded_batches_give_the_numbers_of_single_sentences(agreement_model):
    """On a trained model in float32, through the tokenizer: every method's views, to 1e-5 of their scale.

    Methods that are trained take many small steps from rounded numbers: they are held to conformance's tolerance.
    """
    from flowgauge.methods.registry import METHODS

    given = [TASKS.create(name).instances("test", 1, 0)[0] for name in ("sva/wsc", "sva/obj", "ra/ga")]
    batch = encode(agreement_model, given)
    for name in (name for name in METHODS.builtin if not hasattr(METHODS.create(name), "fit")):
        together = METHODS.create(name).explain(agreement_model, batch)
        for instance, shown in zip(given, together, strict=True):
            (alone,) = METHODS.create(name).explain(agreement_model, encode(agreement_model, [instance]))
            for one, other in zip(alone.each(), shown.each(), strict=True):
                for view in ("tokens", "nodes", "flows", "units", "edges"):
                    a, b = getattr(one, view), getattr(other, view)
                    assert (a is None) == (b is None)
                    if a is not None:
                        assert np.abs(a - b).max() <= 1e-5 * max(1, np.abs(a).max()), (name, view)


@pytest.mark.real
def test_a_real_classifier_gives_its_published_accuracy(shared_models, shared_data):
    from flowgauge.tasks.registry import load_task

    model = load_model(str(shared_models / "minilm-sst2"))
    made = batches(model, load_task(str(shared_data / "sst2" / "dev.tsv")).instances("test", None, 0), max_tokens=17)
    assert sum(map(len, made.batches)) == 220 and len(made.skipped) == 652
    right = sum(int(correct(model.outputs(b), b).sum()) for b in made.batches)
    assert right == 199  # .905


def test_two_answers_that_are_one_token_are_refused(tiny_flow):
    same = Instance("a", ("the author [MASK] tall .",), ("is",), ("IS",))
    with pytest.raises(UnfitSentence, match="'is' and 'IS' of instance 'a' are one token"):
        encode(tiny_flow, [same])
    with pytest.raises(UnfitSentence, match=r"the answer '\[PAD\]'"):
        encode(tiny_flow, [Instance("a", same.segments, ("[PAD]",), ("is",))])


def test_a_checkpoint_without_its_heads_weights_is_refused(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder("bert", "label"), tmp_path / "headless")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertForMaskedLM"]}))
    with pytest.raises(UsageError, match=r"lacks weights \(cls\.predictions.*which would be random"):
        load_model(str(folder))


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
