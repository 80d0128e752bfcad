"""One instance to tokens: gaps, slots, answers and spans, and what is refused."""

from __future__ import annotations

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from flowgauge.core.errors import UnfitSentence, UsageError
from flowgauge.models.inputs.encode import batches as make_batches
from flowgauge.models.inputs.encode import encode
from flowgauge.models.inputs.tokenise import token_span
from flowgauge.tasks.instance import Instance


def pair(text="the author [MASK] tall .", answer=("is",), against=("are",), **more):
    return Instance(id=more.pop("id", "i"), segments=(text,), answer=answer, against=against, **more)


def test_words_in_slots_must_be_known(tiny_flow):
    slotted = pair("the zebra [MASK] .", slots=("the", "SUBJ", "MASK", "."))
    with pytest.raises(UsageError, match=r"the word 'zebra' of instance 'i' must be one token, but model .* does not know it"):
        encode(tiny_flow, [slotted])


def test_two_answers_that_are_one_token_are_refused(tiny_flow):
    same = Instance("a", ("the author [MASK] tall .",), ("is",), ("IS",))
    with pytest.raises(UnfitSentence, match="'is' and 'IS' of instance 'a' are one token"):
        encode(tiny_flow, [same])
    with pytest.raises(UnfitSentence, match=r"the answer '\[PAD\]'"):
        encode(tiny_flow, [Instance("a", same.segments, ("[PAD]",), ("is",))])


def blank_tokenizer(lstrip):
    """A tokenizer whose words begin with their blank, as those of RoBERTa do."""
    vocabulary = ("[PAD]", "[UNK]", "[MASK]", "▁", "▁the", "▁author", "▁is", "▁are", "▁tall", "▁.")
    raw = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    mask = AddedToken("[MASK]", lstrip=lstrip, special=True)
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="[PAD]", unk_token="[UNK]", mask_token=mask)


def test_a_mask_token_that_leaves_the_blank_before_it_is_named_as_the_cause(tiny_flows, monkeypatch):
    model = tiny_flows()
    monkeypatch.setattr(model, "tokenizer", blank_tokenizer(lstrip=True))
    batch = encode(model, [pair()])
    assert (batch.ids.tolist(), batch.answer.tolist()) == ([[4, 5, 2, 8, 9]], [[6]])
    monkeypatch.setattr(model, "tokenizer", blank_tokenizer(lstrip=False))
    with pytest.raises(UsageError, match=r"makes a token of the blank before \[MASK\], .* lstrip=True") as caught:
        encode(model, [pair()])
    assert not isinstance(caught.value, UnfitSentence)


CONTEXT = "the guard likes the tall chef"


def asked(name="i", context=CONTEXT, answer=(16, 29), **more):
    return Instance(name, ("the guard likes", context), answer, **more)


@pytest.fixture
def model(tiny_flows):
    return tiny_flows("bert", "span")


def test_a_span_in_characters_becomes_its_first_and_last_token(model):
    batch = encode(model, [asked(), asked("one", answer=(4, 9)), asked("inner", answer=(22, 27))])
    tokens = model.tokenizer.convert_ids_to_tokens(batch.ids[0].tolist())
    assert [tokens[a : b + 1] for a, b in batch.answer.tolist()] == [["the", "tall", "chef"], ["guard"], ["tall", "chef"]]
    assert batch.answer.tolist() == [
        [8, 10],
        [6, 6],
        [9, 10],
    ]  # [CLS], three words, [SEP] before; `guard` of the question is not it
    assert batch.target is None and not batch.pairwise and batch.answer.shape == batch.against.shape


def test_a_span_that_cuts_wordpieces_takes_them_whole():
    offsets, inside = [(0, 0), (0, 4), (0, 2), (2, 4), (4, 5), (6, 9)], [False, False, True, True, True, True]
    assert token_span(offsets, inside, 1, 3) == (2, 3)
    assert token_span(offsets, inside, 4, 5) == (4, 4)
    assert token_span(offsets, inside, 5, 6) is None  # the blank between two tokens


def test_what_is_no_span_of_the_passage_is_refused(model):
    for answer in ((5, 5), (9, 4), (0, 30), (-1, 3), (1,), ("the", "chef")):
        with pytest.raises(
            UsageError, match=r"expected the start and the end of a span in characters of its last text, which has 29"
        ):
            encode(model, [asked(answer=answer)])
    with pytest.raises(UnfitSentence, match="the answer ' ' of instance 'i' has no token"):
        encode(model, [asked(answer=(3, 4))])
    with pytest.raises(UsageError, match="further answers need as many parts"):
        asked(also=((1,),))
    with pytest.raises(UsageError, match="nothing held against"):
        asked(also=((0, 3),), against=(4, 9))


def test_passages_too_long_are_never_cut(model):
    long = asked("long", CONTEXT + " the chef" * 20)
    with pytest.raises(UnfitSentence, match=r"'long' has 52 tokens, more than the 40 .* --on-split skip"):
        make_batches(model, [asked(), long])
    skipping = make_batches(model, [asked(), long], on_split="skip")
    assert skipping.skipped[0].startswith("long: instance 'long' has 52 tokens") and not skipping.cut
    assert len(make_batches(model, [asked(), long], max_tokens=20).skipped) == 1  # left out by choice: no error
    with pytest.raises(UnfitSentence):
        make_batches(model, [asked(), long], max_tokens=60)


def test_a_gap_must_be_there_once_and_the_text_must_not_be_too_long(tiny_flow):
    with pytest.raises(UsageError, match=r"needs \[MASK\] exactly once .* found 0"):
        encode(tiny_flow, [pair("the author is tall .")])
    with pytest.raises(UsageError, match=r"53 tokens, more than the 40 .* --on-split skip"):
        encode(tiny_flow, [pair("the " * 50 + "[MASK]")])
