"""BERT: logits, token types, and heads that are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import BertConfig, BertForNextSentencePrediction

from flowgauge.core.errors import UsageError
from flowgauge.models.families.registry import model_parts

SMALL = {"vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}


def test_logits_equal_the_hugging_face_model(logits_equal) -> None:
    logits_equal("bert")


def test_token_types_enter_the_embedding_and_positions_are_limited(models, batches) -> None:
    model = models("bert", max_position_embeddings=40)
    batch = batches(model, [6, 6])
    second = replace(batch, token_type_ids=torch.ones_like(batch.ids), cache={})
    assert (model.outputs(batch)[0] - model.outputs(second)[0]).abs().max() > 1e-6
    assert model.max_tokens == 40


def test_a_next_sentence_head_is_refused() -> None:
    with pytest.raises(UsageError, match="'x' is a BertForNextSentencePrediction: expected a masked-LM"):
        model_parts(BertForNextSentencePrediction(BertConfig(**SMALL)), "x")
