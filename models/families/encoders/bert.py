"""BERT with a masked-LM, classification or span head (Devlin et al. 2019)."""

from __future__ import annotations

from typing import Any

from ....core.errors import UsageError
from ..base import ModelParts
from .encoder import bert_layers, encoder_parts


def bert_parts(hf: Any, name: str) -> ModelParts:
    """The parts of a BERT. Its classifier reads the pooled state of [CLS].

    Raises:
        UsageError: A next-sentence head alone, or what `encoder_parts` refuses.
    """
    base = hf.bert
    if hasattr(hf, "cls") and not hasattr(hf.cls, "predictions"):
        raise UsageError(f"model {name!r} is a {type(hf).__name__}: expected a masked-LM, sequence-classification or span head.")
    return encoder_parts(
        hf,
        name,
        word_embedding=base.embeddings.word_embeddings,
        embed=lambda words, batch: base.embeddings(
            inputs_embeds=words, token_type_ids=batch.token_type_ids, position_ids=batch.positions
        ),
        layers=bert_layers(base.encoder, hf.config.num_attention_heads),
        masked=hf.cls.predictions if hasattr(hf, "cls") else None,
        label=lambda x: hf.classifier(base.pooler(x[:, None])),
    )
