"""What a model of the next word reads: the words before the gap, one token of the answer behind them, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from flowgauge.core.errors import TooLong, UnfitSentence, UsageError
from flowgauge.models.inputs.encode import batches, encode, token_slots
from flowgauge.models.inputs.next_word import Prefix, next_token, prefix_of
from flowgauge.models.inputs.tokenise import count_tokens, tokenise
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.instance import Instance

TEXTS = [
    "the author that the guards like is tall .",
    "the authors that the guard likes are tall .",
    "The war lasted from the year to the year",
    "When Mary and John went to the store, John gave a drink to Mary.",
]


def byte_level(**special: str) -> PreTrainedTokenizerFast:
    """A tokenizer like GPT-2's: bytes, words begin with their blank, one special token that ends texts and is not padding."""
    raw = Tokenizer(models.BPE())
    two_digits = pre_tokenizers.Split(Regex("[0-9]{2}"), "isolated")
    raw.pre_tokenizer = pre_tokenizers.Sequence([two_digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    raw.decoder = decoders.ByteLevel()
    raw.post_processor = processors.ByteLevel(trim_offsets=False)
    words = sorted({*" ".join(TEXTS).split(), "is", "are", "himself", "herself"})
    corpus = [
        *TEXTS * 20,
        *(f"a {word} a {word}" for word in words for _ in range(40)),
        *(f"{year}" for year in range(1100, 1800)),
    ]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=600, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|endoftext|>", **special)


def word_level(*template: str) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words with special tokens around the text."""
    vocabulary = ["<pad>", "<unk>", "<s>", "</s>", *sorted({word for text in TEXTS for word in text.split()})]
    raw = Tokenizer(models.WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single=" ".join(template), special_tokens=[("<s>", 2), ("</s>", 3)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def decoder(tokenizer: Any, **attributes: Any) -> Any:
    """What encoding asks of a model, without weights."""
    known = {
        "name": "tiny-gpt",
        "head": "next",
        "max_tokens": 40,
        "one_target": True,
        "device": torch.device("cpu"),
        "labels": {},
    }
    sizes = {"n_layers": 2, "n_heads": 2, "width": 8, "inner_width": 8, "dtype": torch.float64}
    return SimpleNamespace(tokenizer=tokenizer, **{**known, **sizes, **attributes})


@pytest.fixture(scope="module")
def gpt() -> Any:
    return decoder(byte_level())


def gapped(text: str, answer: str = "is", against: str = "are", **more: Any) -> Instance:
    return Instance("i", (text,), (answer,), (against,), **more)


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        ("the author [MASK]", {}, Prefix("the author", " ")),
        ("the author [MASK].", {}, Prefix("the author", " ")),
        ("the author [MASK] ?!", {}, Prefix("the author", " ")),
        ("the author [MASK] tall .", {"left_to_right": True}, Prefix("the author", " ")),
        ("from 1732 to 17[MASK]", {}, Prefix("from 1732 to 17", "")),
        ("the author", {}, Prefix("the author", " ")),
        ("the author \n", {}, Prefix("the author", " ")),
    ],
)
def test_the_prefix_is_what_stands_before_the_gap(gpt: Any, text: str, more: dict[str, Any], expected: Prefix) -> None:
    assert prefix_of(gpt, gapped(text, **more)) == expected


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        (
            gapped("the author [MASK] tall ."),
            r"the words 'tall \.' behind the gap of instance 'i' may decide .*choose a masked LM",
        ),
        (gapped("[MASK] the author"), "the words 'the author' behind the gap"),
        (gapped("[MASK] ."), "the gap of instance 'i' is its first word, so that model 'tiny-gpt'.*nothing to go on with"),
        (gapped("[MASK] author", left_to_right=True), "is its first word"),
        (Instance("i", ("a", "b [MASK]"), ("is",)), "is a pair of texts, and model 'tiny-gpt'.*goes on with one"),
        (gapped("the author [MASK]", answer="supercalifragilistic"), r"the answer 'super.* splits it \(\d+ tokens\); choose"),
        (gapped("the author [MASK]", against="is"), "'is' and 'is' of instance 'i' are one token"),
        (gapped("the author [MASK]", answer="<|endoftext|>"), "splits it"),
    ],
)
def test_what_a_model_of_the_next_word_cannot_be_asked_is_refused_in_one_line(gpt: Any, instance: Instance, said: str) -> None:
    with pytest.raises(UnfitSentence, match=said) as refusal:
        encode(gpt, [instance])
    assert "--on-split skip" in str(refusal.value) and "\n" not in str(refusal.value)


def test_two_gaps_are_no_sentence_to_skip(gpt: Any) -> None:
    with pytest.raises(UsageError, match=r"needs \[MASK\] once at most") as refusal:
        encode(gpt, [gapped("the [MASK] [MASK]")])
    assert not isinstance(refusal.value, UnfitSentence)


def test_q_is_read_at_the_last_token_of_the_prefix_and_answers_are_the_tokens_behind_it(gpt: Any) -> None:
    instances = [gapped("the author that the guards like [MASK] tall .", left_to_right=True), gapped("the author [MASK].")]
    batch = encode(gpt, instances)
    tokens = [gpt.tokenizer.decode(row[real]) for row, real in zip(batch.ids, batch.attention_mask, strict=True)]
    assert tokens == ["the author that the guards like", "the author"]
    assert batch.target is not None and batch.target.tolist() == [n - 1 for n in batch.lengths]
    assert [gpt.tokenizer.decode(row.tolist()) for row in batch.answer] == [" is", " is"]
    assert [gpt.tokenizer.decode(row.tolist()) for row in batch.against] == [" are", " are"]
    for row, instance in enumerate(instances):
        whole = gpt.tokenizer(instance.segments[0].replace("[MASK]", "is"))["input_ids"]
        n = batch.lengths[row]
        assert whole[: n + 1] == [*batch.ids[row, :n].tolist(), int(batch.answer[row])], "as it stands in the whole sentence"
    assert batch.word_ids[1].tolist()[:2] == [[0, 0], [0, 1]]


def test_a_tokenizer_without_padding_pads_with_the_end_of_the_text_or_the_first_token(gpt: Any) -> None:
    batch = encode(gpt, [gapped("the author that the guards like [MASK]"), gapped("the author [MASK]")])
    end = gpt.tokenizer.eos_token_id
    assert gpt.tokenizer.pad_token_id is None and set(batch.ids[1, batch.lengths[1] :].tolist()) == {end}
    bare = decoder(byte_level())
    bare.tokenizer.eos_token = None
    batch = encode(bare, [gapped("the author that the guards like [MASK]"), gapped("the author [MASK]")])
    assert set(batch.ids[1, batch.lengths[1] :].tolist()) == {0} and not batch.attention_mask[1, -1]


def test_an_answer_may_follow_without_a_blank(gpt: Any) -> None:
    instance = gapped("The war lasted from the year 1732 to the year 17[MASK]", "45", "17")
    batch = encode(gpt, [instance])
    assert gpt.tokenizer.decode(batch.answer[0].tolist()) == "45"


def test_an_answer_that_changes_the_tokens_before_it_is_refused() -> None:
    raw = Tokenizer(models.WordLevel({"<unk>": 0, "17": 1, "1745": 2, "year": 3}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model = decoder(PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="<unk>"))
    with pytest.raises(
        UnfitSentence, match=r"the answer '45' of instance 'i' must be one token .* joins it with the words before"
    ):
        next_token(model, gapped("year 17[MASK]"), Prefix("year 17", ""), [3, 1], "45")


@pytest.mark.parametrize(
    ("template", "ids", "slots"),
    [
        (("$A",), ["the", "author"], ["0", "1"]),
        (("<s>", "$A"), ["<s>", "the", "author"], ["[BOS]", "0", "1"]),
        (("<s>", "$A", "</s>"), ["<s>", "the", "author"], ["[BOS]", "0", "1"]),
        (("$A", "</s>"), ["the", "author"], ["0", "1"]),
    ],
)
def test_special_tokens_stay_before_the_text_and_go_behind_it(
    template: tuple[str, ...], ids: list[str], slots: list[str]
) -> None:
    model, instance = decoder(word_level(*template)), gapped("the author [MASK] tall .", left_to_right=True)
    encoding = tokenise(model, instance, {})
    assert model.tokenizer.convert_ids_to_tokens(encoding.ids) == ids
    assert encoding.target == len(ids) - 1 and len(encoding.words) == len(encoding.segments) == len(ids)
    assert model.tokenizer.convert_ids_to_tokens([*encoding.answer, *encoding.against]) == ["is", "are"]
    assert count_tokens(model, instance) == len(ids)
    assert token_slots(encode(model, [instance]), 0, instance) == slots


def test_an_end_of_text_that_the_text_itself_holds_is_read() -> None:
    model = decoder(word_level("$A", "</s>"))
    assert model.tokenizer.convert_ids_to_tokens(tokenise(model, gapped("the </s> [MASK]"), {}).ids) == ["the", "</s>"]


def test_agreement_tasks_are_read_up_to_their_gap_with_a_slot_a_token() -> None:
    words = sorted({w for i in AgreementTask("ra/na", 20).instances() for w in (*i.segments[0].split(), *i.answer, *i.against)})
    raw = Tokenizer(models.WordLevel({word: n for n, word in enumerate(["<s>", *map(str, words)])}, unk_token="<s>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    model = decoder(PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>"))
    instances = AgreementTask("ra/na", 2).instances()
    encoded = batches(model, instances)
    (batch,), (ordered,) = encoded.batches, encoded.instances
    assert not encoded.skipped and batch.lengths == [8] * 8
    assert token_slots(batch, 0, ordered[0]) == ["[BOS]", "the1", "SUBJ", "that", "the2", "ATTR", "EVERB", "RVERB"]
    unknown = Instance("u", ("the zebra [MASK]",), ("himself",), ("themselves",), slots=("the", "SUBJ", "[MASK]"))
    with pytest.raises(UnfitSentence, match="the word 'zebra' of instance 'u' must be one token"):
        model.tokenizer.unk_token = "<s>"
        encode(model, [unknown])


def test_an_answer_that_the_tokenizer_does_not_have_is_refused() -> None:
    with pytest.raises(UnfitSentence, match=r"the answer 'zebra' of instance 'i' .* does not know it"):
        encode(decoder(word_level("<s>", "$A")), [gapped("the author [MASK]", answer="zebra")])


def test_words_behind_the_gap_need_not_be_one_token() -> None:
    model = decoder(word_level("$A"))
    known = gapped("the author [MASK] flabbergasted", left_to_right=True, slots=("the", "SUBJ", "[MASK]", "X"))
    assert encode(model, [known]).lengths == [2]


def test_a_prefix_that_is_too_long_is_never_cut(gpt: Any) -> None:
    long = gapped("the author that " * 20 + "[MASK]")
    with pytest.raises(TooLong, match=r"has \d+ tokens, more than the 40 that model 'tiny-gpt' reads"):
        encode(gpt, [long])


def test_instances_that_cannot_be_asked_are_counted_where_a_user_skips_them(gpt: Any) -> None:
    good, bad = gapped("the author [MASK]"), Instance("j", ("the author [MASK] tall",), ("is",), ("are",))
    encoded = batches(gpt, [good, bad], on_split="skip")
    assert [i.id for (i,) in encoded.instances] == ["i"]
    assert len(encoded.skipped) == 1 and encoded.skipped[0].startswith("j: the words 'tall' behind the gap")


def test_a_classifier_that_reads_the_last_token_has_its_target_there() -> None:
    names = {"labels": {0: "no", 1: "yes"}, "head": "label"}
    first, last = decoder(word_level("<s>", "$A"), **names), decoder(word_level("<s>", "$A"), **names, reads_last_token=True)
    instances = [Instance("a", ("the author is tall .",), ("yes",), ("no",)), Instance("b", ("the author",), ("no",), ("yes",))]
    assert encode(first, instances).target.tolist() == [0, 0]  # type: ignore[union-attr]
    assert encode(last, instances).target.tolist() == [5, 2]  # type: ignore[union-attr]
    score = decoder(word_level("$A"), head="label", labels={0: "score"}, problem_type="regression", reads_last_token=True)
    assert tokenise(score, Instance("a", ("the author",), ("1.5",)), {}).target == 1
