"""GPT-NeoX and Pythia with a next-token, classification or span head (Black et al. 2022; Biderman et al. 2023)."""

from __future__ import annotations

from typing import Any

from ...layers.feed_forward import FeedForward
from ...layers.linear import interleaved_thirds
from ...layers.norms import layer_norm_of
from ...layers.pre_norm import PreNorm
from ...layers.rotary import Rotary
from ...layers.self_attention import SelfAttention
from ..base import ModelParts
from .decoder import base_of, decoder_parts


def gpt_neox_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a GPT-NeoX, which turns a part of each query and key; its feed-forward blocks stand beside attention."""
    base = base_of(hf, name)
    rotary = Rotary(base.rotary_emb)
    return decoder_parts(
        hf,
        name,
        word_embedding=base.embed_in,
        embed=lambda words, batch: words,
        layers=tuple(_layer(layer, hf.config.num_attention_heads, rotary) for layer in base.layers),
        norm=layer_norm_of(base.final_layer_norm),
        max_tokens=hf.config.max_position_embeddings,
    )


def _layer(layer: Any, n_heads: int, rotary: Rotary) -> PreNorm:
    attention, mlp = layer.attention, layer.mlp
    query, key, value = interleaved_thirds(attention.query_key_value, n_heads)
    return PreNorm(
        attention=SelfAttention(query, key, value, attention.dense, n_heads, scale=attention.scaling, causal=True, rotary=rotary),
        norm1=layer_norm_of(layer.input_layernorm),
        ff=FeedForward(mlp.dense_h_to_4h, mlp.act, mlp.dense_4h_to_h),
        norm2=layer_norm_of(layer.post_attention_layernorm),
        parallel=layer.use_parallel_residual,
    )
