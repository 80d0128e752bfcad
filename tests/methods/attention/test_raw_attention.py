"""Raw attention is what Hugging Face returns."""

from __future__ import annotations

import pytest
import torch

from flowgauge.methods.attention.raw_attention import RawAttention


def test_raw_attention_is_the_models_own(model, batch):
    model.hf.set_attn_implementation("eager")
    own = model.hf(input_ids=batch.ids, attention_mask=batch.attention_mask.long(), output_attentions=True).attentions
    for row, (n, found) in enumerate(zip(batch.lengths, RawAttention().explain(model, batch), strict=True)):
        expected = torch.stack([layer[row, :, :n, :n] for layer in own]).detach().numpy()
        assert found.edges == pytest.approx(expected, abs=1e-12)
        assert found.tokens == pytest.approx(expected[2, :, 2].mean(0), abs=1e-12)
        (first,) = RawAttention(depth=1).explain(model, batch)[row : row + 1]
        assert first.tokens == pytest.approx(expected[0, :, 2].mean(0), abs=1e-12)
