"""RoBERTa-PreLayerNorm with a masked-LM, classification or span head (Ott et al. 2019)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...batch import Batch
from ...layers.feed_forward import FeedForward
from ...layers.norms import layer_norm_of
from ...layers.pre_norm import PreNorm
from ...layers.self_attention import SelfAttention
from ..base import ModelParts
from .encoder import encoder_parts, on_first_token, padded_positions


def roberta_prelayernorm_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a RoBERTa whose norms stand before each block and before the head."""
    base = hf.roberta_prelayernorm

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
        layers=tuple(_layer(layer, hf.config.num_attention_heads) for layer in base.encoder.layer),
        masked=getattr(hf, "lm_head", None),
        label=on_first_token(lambda states: hf.classifier(states)),
        norm=layer_norm_of(base.LayerNorm),
        padding_positions=2,
    )


def _layer(layer: Any, n_heads: int) -> PreNorm:
    own = layer.attention.self
    output = layer.attention.output.dense
    return PreNorm(
        attention=SelfAttention(own.query, own.key, own.value, output, n_heads, scale=own.scaling),
        norm1=layer_norm_of(layer.attention.LayerNorm),
        ff=FeedForward(layer.intermediate.dense, layer.intermediate.intermediate_act_fn, layer.output.dense),
        norm2=layer_norm_of(layer.intermediate.LayerNorm),
    )
