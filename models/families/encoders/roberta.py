"""RoBERTa (Liu et al. 2019) and the families with its module names: XLM-RoBERTa and CamemBERT."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...batch import Batch
from ..base import ModelParts
from .encoder import bert_layers, encoder_parts, on_first_token, padded_positions


def roberta_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a RoBERTa, XLM-RoBERTa (Conneau et al. 2020) or CamemBERT (Martin et al. 2020).

    None of them has token types, and all count positions of real tokens from `padding_idx + 1`.
    """
    base = hf.roberta

    def embed(words: Tensor, batch: Batch) -> Tensor:
        positions = padded_positions(batch, base.embeddings.padding_idx)
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
