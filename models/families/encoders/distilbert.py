"""DistilBERT with a masked-LM, classification or span head (Sanh et al. 2019)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...batch import Batch
from ...layers.feed_forward import FeedForward
from ...layers.norms import layer_norm_of
from ...layers.post_norm import PostNorm
from ...layers.self_attention import SelfAttention
from ..base import ModelParts
from .encoder import encoder_parts


def distilbert_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a DistilBERT, which has no token types and no pooler."""
    base, n_heads = hf.distilbert, hf.config.n_heads

    def embed(words: Tensor, batch: Batch) -> Tensor:
        hidden: Tensor = base.embeddings(None, words, batch.positions)
        return hidden

    def masked(x: Tensor) -> Tensor:
        logits: Tensor = hf.vocab_projector(hf.vocab_layer_norm(hf.activation(hf.vocab_transform(x))))
        return logits

    return encoder_parts(
        hf,
        name,
        word_embedding=base.embeddings.word_embeddings,
        embed=embed,
        layers=tuple(_layer(layer, n_heads, hf.config.dim) for layer in base.transformer.layer),
        masked=masked if hasattr(hf, "vocab_projector") else None,
        label=lambda x: hf.classifier(torch.relu(hf.pre_classifier(x))),
    )


def _layer(layer: Any, n_heads: int, width: int) -> PostNorm:
    attention = layer.attention
    return PostNorm(
        attention=SelfAttention(
            attention.q_lin, attention.k_lin, attention.v_lin, attention.out_lin, n_heads, scale=(width // n_heads) ** -0.5
        ),
        norm1=layer_norm_of(layer.sa_layer_norm),
        ff=FeedForward(layer.ffn.lin1, layer.ffn.activation, layer.ffn.lin2),
        norm2=layer_norm_of(layer.output_layer_norm),
    )
