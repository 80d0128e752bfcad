"""Llama, Mistral, Qwen 2 and Qwen 3: logits; transformers computes rotary angles, RMSNorm and softmax in float32."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_logits_equal_the_hugging_face_model(logits_equal, family) -> None:
    logits_equal(family, 1e-6)


def test_logits_equal_with_biases_and_scaled_rotary_positions(logits_equal) -> None:
    scaled = {"rope_type": "llama3", "rope_theta": 100.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    rope = scaled | {"original_max_position_embeddings": 8}
    logits_equal("llama", 1e-6, attention_bias=True, mlp_bias=True, rope_parameters=rope)


def test_logits_equal_where_only_some_layers_have_a_window(logits_equal) -> None:
    kinds = ["full_attention", "sliding_attention", "full_attention"]
    logits_equal("qwen3", 1e-6, use_sliding_window=True, sliding_window=2, layer_types=kinds)
