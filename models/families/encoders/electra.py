"""ELECTRA with a masked-LM, classification or span head (Clark et al. 2020)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...batch import Batch
from ..base import ModelParts
from .encoder import bert_layers, encoder_parts, on_first_token


def electra_parts(hf: Any, name: str) -> ModelParts:
    """The parts of an ELECTRA, whose word vectors may be narrower than its hidden states."""
    base = hf.electra

    def embed(words: Tensor, batch: Batch) -> Tensor:
        hidden: Tensor = base.embeddings(inputs_embeds=words, token_type_ids=batch.token_type_ids, position_ids=batch.positions)
        return base.embeddings_project(hidden) if hasattr(base, "embeddings_project") else hidden

    def masked(x: Tensor) -> Tensor:
        logits: Tensor = hf.generator_lm_head(hf.generator_predictions(x))
        return logits

    return encoder_parts(
        hf,
        name,
        word_embedding=base.embeddings.word_embeddings,
        embed=embed,
        layers=bert_layers(base.encoder, hf.config.num_attention_heads),
        masked=masked if hasattr(hf, "generator_lm_head") else None,
        label=on_first_token(lambda states: hf.classifier(states)),
    )
