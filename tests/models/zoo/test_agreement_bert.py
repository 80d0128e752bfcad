"""The embedded model loads, has every word of the tasks as one token, and answers the tasks' sentences."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from flowgauge.models.zoo import ZOO
from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.lexicon import templates

FOLDER = ZOO["agreement-bert"]


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    return AutoModelForMaskedLM.from_pretrained(FOLDER, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(FOLDER)


def test_it_is_the_model_that_the_card_describes(loaded: tuple[Any, Any]) -> None:
    model, _ = loaded
    config = model.config
    assert config.architectures == ["BertForMaskedLM"]
    assert (config.num_hidden_layers, config.num_attention_heads, config.hidden_size, config.intermediate_size) == (
        6,
        8,
        128,
        512,
    )
    assert config.max_position_embeddings == 32
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_every_word_of_every_task_is_one_token(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    for template in templates().values():
        for word in template.vocabulary():
            ids = tokenizer(word, add_special_tokens=False)["input_ids"]
            assert len(ids) == 1
            assert ids != [tokenizer.unk_token_id]


def test_the_tokenizer_is_like_berts(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    one = tokenizer("The author [MASK] Tall.", return_offsets_mapping=True)
    assert tokenizer.convert_ids_to_tokens(one["input_ids"]) == ["[CLS]", "the", "author", "[MASK]", "tall", ".", "[SEP]"]
    assert one["offset_mapping"] == [(0, 0), (0, 3), (4, 10), (11, 17), (18, 22), (22, 23), (0, 0)]
    two = tokenizer("the king", "the zebra")
    assert tokenizer.convert_ids_to_tokens(two["input_ids"]) == ["[CLS]", "the", "king", "[SEP]", "the", "[UNK]", "[SEP]"]
    assert two["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("name", list(templates()))
def test_the_flow_model_agrees(agreement_model: Any, name: str) -> None:
    from flowgauge.models.inputs.encode import batches
    from flowgauge.models.outputs import value

    encoded = batches(agreement_model, AgreementTask(name).instances("test", 20, 3))
    assert encoded.skipped == ()
    with torch.no_grad():
        assert all((value(agreement_model.outputs(batch), batch) > 0).all() for batch in encoded.batches)
