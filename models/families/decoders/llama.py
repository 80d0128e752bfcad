"""Llama and the families with its module names: Mistral, Qwen 2 and Qwen 3."""

from __future__ import annotations

from typing import Any

from ...layers.norms import rms_norm_of
from ...layers.rotary import Rotary
from ..base import ModelParts
from .decoder import base_of, decoder_parts, llama_layer


def llama_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a Llama (Touvron et al. 2023), Mistral (Jiang et al. 2023), Qwen 2 (2024) or Qwen 3 (2025)."""
    base = base_of(hf, name)
    rotary = Rotary(base.rotary_emb)
    return decoder_parts(
        hf,
        name,
        word_embedding=base.embed_tokens,
        embed=lambda words, batch: words,
        layers=tuple(llama_layer(layer, hf.config, index, rotary) for index, layer in enumerate(base.layers)),
        norm=rms_norm_of(base.norm),
        max_tokens=hf.config.max_position_embeddings,
    )
