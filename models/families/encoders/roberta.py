"""RoBERTa with a masked-LM, classification or span head (Liu et al. 2019)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...batch import Batch
from ..base import ModelParts
from .encoder import bert_layers, encoder_parts, on_first_token


def roberta_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a RoBERTa, which has no token types and counts positions of real tokens from `padding_idx + 1`."""
    base = hf.roberta
    padding = base.embeddings.padding_idx

    def embed(words: Tensor, batch: Batch) -> Tensor:
        positions = torch.cumsum(batch.attention_mask, 1) * batch.attention_mask + padding
        no_types = torch.zeros_like(batch.token_type_ids)
        hidden: Tensor = base.embeddings(inputs_embeds=words, token_type_ids=no_types, position_ids=positions)
        return hidden

    return encoder_parts(
        hf,
        name,
        word_embedding=base.embeddings.word_embeddings,
        embed=embed,
        layers=bert_layers(base.encoder, hf.config.num_attention_heads),
        masked=getattr(hf, "lm_head", None),
        label=on_first_token(lambda states: hf.classifier(states)),
        padding_positions=2,
    )
