"""Gemma 2 and 3: logits, scaled word vectors, soft caps, and a variant that is refused."""

from __future__ import annotations

import pytest
import torch

from flowgauge.core.errors import UsageError


@pytest.mark.parametrize("family", ["gemma2", "gemma3_text"])
def test_logits_equal_the_hugging_face_model(logits_equal, family) -> None:
    logits_equal(family, 1e-6)


def test_word_vectors_are_those_of_the_scaled_table_and_caps_bound_scores_and_logits(models, batches) -> None:
    model = models("gemma2", final_logit_softcapping=0.5)
    batch = batches(model, [6])
    torch.testing.assert_close(model.words(batch), model.word_embedding.weight[batch.ids] * 4)  # sqrt(16)
    assert 0.4 < model.outputs(batch)[0].abs().max() < 0.5
    assert {layer.attention.cap for layer in model.layers} == {2.0}


def test_attention_to_later_positions_is_refused(models) -> None:
    with pytest.raises(UsageError, match="attends to later positions"):
        models("gemma3_text", use_bidirectional_attention=True)


def test_gemma_3_has_no_cap_of_scores_whatever_its_configuration_says(models, batches) -> None:
    model = models("gemma3_text", attn_logit_softcapping=0.5)
    batch = batches(model, [6])
    with torch.no_grad():
        expected = model.hf(input_ids=batch.ids).logits[:, -1]
    torch.testing.assert_close(model.outputs(batch)[0], expected, rtol=0, atol=1e-6 * float(expected.abs().max()))
