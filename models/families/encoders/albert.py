"""ALBERT with a masked-LM, classification or span head (Lan et al. 2020)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...batch import Batch
from ...layers.feed_forward import FeedForward
from ...layers.norms import layer_norm_of
from ...layers.post_norm import PostNorm
from ...layers.self_attention import SelfAttention
from ..base import ModelParts
from .encoder import encoder_parts


def albert_parts(hf: Any, name: str) -> ModelParts:
    """The parts of an ALBERT, whose layers share weights: each group of layers stands several times in the order of running."""
    base, config = hf.albert, hf.config
    groups = [[_layer(layer) for layer in group.albert_layers] for group in base.encoder.albert_layer_groups]
    times = config.num_hidden_layers / config.num_hidden_groups

    def embed(words: Tensor, batch: Batch) -> Tensor:
        narrow = base.embeddings(inputs_embeds=words, token_type_ids=batch.token_type_ids, position_ids=batch.positions)
        hidden: Tensor = base.encoder.embedding_hidden_mapping_in(narrow)
        return hidden

    return encoder_parts(
        hf,
        name,
        word_embedding=base.embeddings.word_embeddings,
        embed=embed,
        layers=tuple(layer for index in range(config.num_hidden_layers) for layer in groups[int(index / times)]),
        masked=getattr(hf, "predictions", None),
        label=lambda x: hf.classifier(base.pooler_activation(base.pooler(x))),
    )


def _layer(layer: Any) -> PostNorm:
    attention = layer.attention
    return PostNorm(
        attention=SelfAttention(
            attention.query,
            attention.key,
            attention.value,
            attention.dense,
            attention.num_attention_heads,
            scale=attention.scaling,
        ),
        norm1=layer_norm_of(attention.LayerNorm),
        ff=FeedForward(layer.ffn, layer.activation, layer.ffn_output),
        norm2=layer_norm_of(layer.full_layer_layer_norm),
    )
