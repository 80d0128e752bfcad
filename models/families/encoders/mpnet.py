"""MPNet with a masked-LM, classification or span head (Song et al. 2020)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ....core.errors import UsageError
from ...batch import Batch
from ...layers.post_norm import PostNorm
from ...layers.relative import DistanceBias
from ...layers.self_attention import SelfAttention
from ..base import ModelParts
from .encoder import bert_layer, encoder_parts, on_first_token, padded_positions

BUCKETS = 32
"""Distances that transformers tells apart in every MPNet."""


def mpnet_parts(hf: Any, name: str) -> ModelParts:
    """The parts of an MPNet, which has RoBERTa's positions and a bias of scores for each distance, the same in every layer.

    Raises:
        UsageError: Another number of distances than transformers computes, or what `encoder_parts` refuses.
    """
    buckets = hf.config.relative_attention_num_buckets
    if buckets != BUCKETS:
        raise UsageError(
            f"model {name!r} has {buckets} distances (relative_attention_num_buckets), and transformers computes {BUCKETS} "
            "whatever is stated: choose another checkpoint."
        )
    base, encoder = hf.mpnet, hf.mpnet.encoder
    bias = DistanceBias(encoder.relative_attention_bias, lambda apart: encoder.relative_position_bucket(-apart))

    def embed(words: Tensor, batch: Batch) -> Tensor:
        positions = padded_positions(batch, base.embeddings.padding_idx)
        hidden: Tensor = base.embeddings(inputs_embeds=words, position_ids=positions)
        return hidden

    return encoder_parts(
        hf,
        name,
        word_embedding=base.embeddings.word_embeddings,
        embed=embed,
        layers=tuple(_layer(layer, bias) for layer in encoder.layer),
        masked=getattr(hf, "lm_head", None),
        label=on_first_token(lambda states: hf.classifier(states)),
        padding_positions=2,
    )


def _layer(layer: Any, bias: DistanceBias) -> PostNorm:
    attention, heads = layer.attention.attn, layer.attention.attn.num_attention_heads
    scale = attention.attention_head_size**-0.5
    own = SelfAttention(attention.q, attention.k, attention.v, attention.o, heads, scale, relative=bias)
    return bert_layer(layer, own, layer.attention.LayerNorm)
