"""ModernBERT with a masked-LM, classification or span head (Warner et al. 2024)."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from ....core.errors import UsageError
from ...layers.feed_forward import FeedForward
from ...layers.linear import LinearPart, thirds
from ...layers.norms import layer_norm_of
from ...layers.pre_norm import PreNorm
from ...layers.rotary import Rotary
from ...layers.self_attention import SelfAttention
from ..base import ModelParts
from .encoder import encoder_parts


def modernbert_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a ModernBERT, whose layers attend to all tokens or to those in a window.

    Raises:
        UsageError: A classifier of the mean of all tokens, or what `encoder_parts` refuses.
    """
    base, span = hf.model, type(hf).__name__.endswith("ForQuestionAnswering")
    if hasattr(hf, "classifier") and not span and hf.config.classifier_pooling != "cls":
        raise UsageError(
            f"model {name!r} classifies the mean of all tokens (classifier_pooling {hf.config.classifier_pooling!r}), where "
            "paths end at one token: choose a checkpoint that classifies its first token (cls)."
        )
    norm = layer_norm_of(base.final_norm)
    return encoder_parts(
        hf,
        name,
        word_embedding=base.embeddings.tok_embeddings,
        embed=lambda words, batch: base.embeddings(inputs_embeds=words),
        layers=tuple(_layer(layer, base.rotary_emb) for layer in base.layers),
        masked=getattr(hf, "decoder", None),
        label=lambda x: hf.classifier(x),
        span=hf.classifier if span else None,
        norm=lambda hidden: hf.head(norm(hidden)),
    )


def _layer(layer: Any, angles: Any) -> PreNorm:
    attention, heads = layer.attn, layer.attn.config.num_attention_heads
    rotary = Rotary(partial(angles, layer_type=layer.attention_type))
    query, key, value = thirds(attention.Wqkv)
    inner, gate = (LinearPart(layer.mlp.Wi, lambda whole, n=n: whole.chunk(2)[n]) for n in range(2))  # type: ignore[misc]
    scale, window = attention.head_dim**-0.5, attention.sliding_window
    return PreNorm(
        attention=SelfAttention(query, key, value, attention.Wo, heads, scale, window=window, rotary=rotary),
        norm1=None if isinstance(layer.attn_norm, nn.Identity) else layer_norm_of(layer.attn_norm),
        ff=FeedForward(inner, layer.mlp.act, layer.mlp.Wo, gate),
        norm2=layer_norm_of(layer.mlp_norm),
    )
