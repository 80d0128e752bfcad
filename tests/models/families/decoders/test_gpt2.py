"""GPT-2: logits, and a variant that is refused."""

from __future__ import annotations

import pytest

from flowgauge.core.errors import UsageError


def test_logits_equal_the_hugging_face_model(logits_equal) -> None:
    logits_equal("gpt2")


def test_logits_equal_with_other_scales_of_scores(logits_equal) -> None:
    logits_equal("gpt2", scale_attn_weights=False)
    logits_equal("gpt2", scale_attn_by_inverse_layer_idx=True)


def test_scores_in_another_type_and_attention_to_a_second_text_are_refused(models) -> None:
    with pytest.raises(UsageError, match="computes scores in float32"):
        models("gpt2", reorder_and_upcast_attn=True)
    with pytest.raises(UsageError, match="attends to a second sequence"):
        models("gpt2", add_cross_attention=True)
