"""The embedded decoder loads, has every word of the tasks as one token, and answers the tasks' sentences read as prefixes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flowgauge.models.zoo import ZOO
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.lexicon import templates

FOLDER = ZOO["agreement-gpt2"]


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(FOLDER)


def test_it_is_the_model_that_the_card_describes(loaded: tuple[Any, Any]) -> None:
    config = loaded[0].config
    assert config.architectures == ["GPT2LMHeadModel"]
    assert (config.n_layer, config.n_head, config.n_embd, config.n_inner, config.n_positions) == (6, 8, 128, 512, 32)
    assert {p.dtype for p in loaded[0].parameters()} == {torch.float32}


def test_every_word_of_every_task_is_one_token(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    for template in templates().values():
        for word in template.vocabulary():
            ids = tokenizer(word, add_special_tokens=False)["input_ids"]
            assert len(ids) == 1
            assert ids != [tokenizer.unk_token_id]
            assert tokenizer.decode(ids) == word


def test_a_text_begins_with_bos_and_has_no_end_token(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    one = tokenizer("The author is Tall.", return_offsets_mapping=True)
    assert tokenizer.convert_ids_to_tokens(one["input_ids"]) == ["<bos>", "the", "author", "is", "tall", "."]
    assert one["offset_mapping"] == [(0, 0), (0, 3), (4, 10), (11, 13), (14, 18), (18, 19)]
    two = tokenizer(["the king", "the zebra is"], padding=True)
    assert [tokenizer.convert_ids_to_tokens(ids) for ids in two["input_ids"]] == [
        ["<bos>", "the", "king", "<pad>"], ["<bos>", "the", "<unk>", "is"]
    ]  # fmt: skip
    assert two["attention_mask"] == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert (tokenizer.eos_token, tokenizer.mask_token) == ("<eos>", None)


def test_it_ends_a_sentence_that_it_continues(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    start = tokenizer("the author that the guards like", return_tensors="pt")
    (ids,) = model.generate(**start, do_sample=False, max_new_tokens=12)
    words = tokenizer.convert_ids_to_tokens(ids)
    assert words[7] in ("is", "was") or words[7].endswith("s")
    assert words[-2:] == [".", "<eos>"]


@pytest.mark.parametrize("name", list(templates()))
def test_the_flow_model_agrees(agreement_decoder: Any, name: str) -> None:
    from flowgauge.models.inputs.encode import batches
    from flowgauge.models.outputs import value

    encoded = batches(agreement_decoder, AgreementTask(name).instances("test", 20, 3))
    assert encoded.skipped == ()
    with torch.no_grad():
        assert all((value(agreement_decoder.outputs(batch), batch) > 0).all() for batch in encoded.batches)
