"""OPT with a next-token, classification or span head (Zhang et al. 2022)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...batch import Batch
from ...layers.feed_forward import FeedForward
from ...layers.norms import layer_norm_of
from ...layers.post_norm import PostNorm
from ...layers.pre_norm import PreNorm
from ...layers.self_attention import SelfAttention
from ..base import ModelParts
from .decoder import base_of, decoder_parts


def opt_parts(hf: Any, name: str) -> ModelParts:
    """The parts of an OPT. The one of 350 million weights normalises after each block and has narrower word vectors."""
    base = base_of(hf, name).decoder

    def embed(words: Tensor, batch: Batch) -> Tensor:
        wide: Tensor = words if base.project_in is None else base.project_in(words)
        positions: Tensor = base.embed_positions(batch.attention_mask, position_ids=batch.positions)
        return wide + positions

    def norm(hidden: Tensor) -> Tensor:
        normed = hidden if base.final_layer_norm is None else layer_norm_of(base.final_layer_norm)(hidden)
        return normed if base.project_out is None else base.project_out(normed)

    return decoder_parts(
        hf,
        name,
        word_embedding=base.embed_tokens,
        embed=embed,
        layers=tuple(_layer(layer, hf.config.num_attention_heads) for layer in base.layers),
        norm=norm,
        max_tokens=hf.config.max_position_embeddings,
    )


def _layer(layer: Any, n_heads: int) -> PreNorm | PostNorm:
    y = layer.self_attn
    attention = SelfAttention(y.q_proj, y.k_proj, y.v_proj, y.out_proj, n_heads, scale=y.scaling, causal=True)
    block = FeedForward(layer.fc1, layer.activation_fn, layer.fc2)
    norm1, norm2 = layer_norm_of(layer.self_attn_layer_norm), layer_norm_of(layer.final_layer_norm)
    kind = PreNorm if layer.do_layer_norm_before else PostNorm
    return kind(attention, norm1, block, norm2)
