"""GPT-2 with a next-token, classification or span head (Radford et al. 2019)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ....core.errors import UsageError
from ...batch import Batch
from ...layers.feed_forward import FeedForward
from ...layers.linear import LinearPart, thirds
from ...layers.norms import layer_norm_of
from ...layers.pre_norm import PreNorm
from ...layers.self_attention import SelfAttention
from ..base import ModelParts
from .decoder import base_of, decoder_parts


def gpt2_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a GPT-2, whose positions are learned vectors.

    Raises:
        UsageError: Scores in float32 in a model of another type, or what `decoder_parts` refuses.
    """
    base = base_of(hf, name)
    if hf.config.reorder_and_upcast_attn:
        raise UsageError(
            f"model {name!r} computes scores in float32 (reorder_and_upcast_attn): set it to false in config.json, which changes "
            "no number in float32."
        )

    def embed(words: Tensor, batch: Batch) -> Tensor:
        hidden: Tensor = words + base.wpe(batch.positions)
        return hidden

    return decoder_parts(
        hf,
        name,
        word_embedding=base.wte,
        embed=embed,
        layers=tuple(_layer(layer, hf.config.num_attention_heads) for layer in base.h),
        norm=layer_norm_of(base.ln_f),
        max_tokens=hf.config.max_position_embeddings,
    )


def _layer(layer: Any, n_heads: int) -> PreNorm:
    query, key, value = thirds(layer.attn.c_attn, transposed=True)
    output, inner, outer = (LinearPart(m, transposed=True) for m in (layer.attn.c_proj, layer.mlp.c_fc, layer.mlp.c_proj))
    return PreNorm(
        attention=SelfAttention(query, key, value, output, n_heads, scale=layer.attn.scaling, causal=True),
        norm1=layer_norm_of(layer.ln_1),
        ff=FeedForward(inner, layer.mlp.act, outer),
        norm2=layer_norm_of(layer.ln_2),
    )
