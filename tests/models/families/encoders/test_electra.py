"""ELECTRA: logits, and word vectors that are narrower than hidden states."""

from __future__ import annotations


def test_logits_equal_the_hugging_face_model(logits_equal) -> None:
    logits_equal("electra")


def test_narrow_word_vectors_are_widened_and_wide_ones_are_not(models, batches) -> None:
    for width in (8, 16):
        model = models("electra", embedding_size=width)
        batch = batches(model, [5])
        words = model.words(batch)
        assert words.shape == (1, 5, width)
        assert model.embed(words, batch).shape == (1, 5, 16)
        assert hasattr(model.hf.electra, "embeddings_project") == (width == 8)
