"""RoBERTa-PreLayerNorm: logits, RoBERTa's positions, and a norm before the head."""

from __future__ import annotations


def test_logits_equal_the_hugging_face_model(logits_equal) -> None:
    logits_equal("roberta-prelayernorm")


def test_two_positions_are_the_paddings(models) -> None:
    assert models("roberta-prelayernorm", max_position_embeddings=40).max_tokens == 38
