"""MPNet: logits, RoBERTa's positions and a bias of distances."""

from __future__ import annotations

import pytest
import torch

from flowgauge.core.errors import UsageError


def test_logits_equal_the_hugging_face_model(logits_equal) -> None:
    logits_equal("mpnet")


def test_another_number_of_distances_is_refused(models) -> None:
    with pytest.raises(UsageError, match=r"has 16 distances .* transformers computes 32"):
        models("mpnet", relative_attention_num_buckets=16)


def test_the_bias_of_distances_is_read_and_two_positions_are_the_paddings(models, batches) -> None:
    model = models("mpnet", max_position_embeddings=40)
    batch = batches(model, [6, 6])
    assert model.max_tokens == 38
    clean, bias = model.outputs(batch)[0], model.hf.mpnet.encoder.relative_attention_bias.weight
    bias[1] += 1  # keys one position before the query
    assert (model.outputs(batch)[0] - clean).abs().max() > 1e-6
    bias += 3 - bias  # one bias of all distances moves no weight
    flat = model.outputs(batch)[0]
    bias.zero_()
    assert torch.allclose(model.outputs(batch)[0], flat, atol=1e-12)
