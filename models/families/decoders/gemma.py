"""Gemma 2 and Gemma 3 (text) with a next-token or classification head."""

from __future__ import annotations

from functools import partial
from typing import Any

from ....core.errors import UsageError
from ...layers.norms import rms_norm_of
from ...layers.rotary import Rotary
from ..base import ModelParts
from .decoder import base_of, decoder_parts, llama_layer


def gemma_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a Gemma 2 (Riviere et al. 2024) or Gemma 3 (Kamath et al. 2025), whose word vectors are scaled by their table.

    Raises:
        UsageError: Attention to later positions, or what `decoder_parts` refuses.
    """
    base = base_of(hf, name)
    if getattr(hf.config, "use_bidirectional_attention", False):
        raise UsageError(f"model {name!r} attends to later positions (use_bidirectional_attention): choose a decoder.")
    if hf.config.model_type == "gemma2":
        rotary = [Rotary(base.rotary_emb)] * len(base.layers)
    else:  # local and global layers turn by angles of their own
        rotary = [Rotary(partial(base.rotary_emb, layer_type=kind)) for kind in hf.config.layer_types]
    layers = enumerate(zip(base.layers, rotary, strict=False))
    cap = hf.config.attn_logit_softcapping if hf.config.model_type == "gemma2" else None  # transformers runs Gemma 3 without
    return decoder_parts(
        hf,
        name,
        word_embedding=base.embed_tokens,
        embed=lambda words, batch: words,
        layers=tuple(llama_layer(layer, hf.config, index, turn, shift=1.0, cap=cap) for index, (layer, turn) in layers),
        norm=rms_norm_of(base.norm, shift=1.0),
        max_tokens=hf.config.max_position_embeddings,
        cap=hf.config.final_logit_softcapping,
    )
