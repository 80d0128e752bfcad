"""DistilBERT: logits and the scale of its attention scores."""

from __future__ import annotations


def test_logits_equal_the_hugging_face_model(logits_equal) -> None:
    logits_equal("distilbert")


def test_scores_are_divided_by_the_root_of_a_heads_width(models) -> None:
    model = models("distilbert", max_position_embeddings=40)
    assert {layer.attention.scale for layer in model.layers} == {0.5}  # 16 wide, 4 heads
    assert model.max_tokens == 40
