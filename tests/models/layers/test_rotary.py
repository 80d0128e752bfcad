"""Rotary positions: as transformers turns vectors, with an exact transpose, and blind to where counting starts."""

from __future__ import annotations

import pytest
import torch
from transformers import GPTNeoXConfig, LlamaConfig
from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXRotaryEmbedding
from transformers.models.gpt_neox.modeling_gpt_neox import apply_rotary_pos_emb as turned_in_part
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from flowgauge.models.layers.rotary import Rotary

SIZES = {"hidden_size": 32, "num_attention_heads": 2, "vocab_size": 9, "bos_token_id": 0, "eos_token_id": 0}
WHOLE = LlamaRotaryEmbedding(LlamaConfig(**SIZES))
PART = GPTNeoXRotaryEmbedding(GPTNeoXConfig(**SIZES, rotary_pct=0.25))


@pytest.mark.parametrize(("angles", "reference"), [(WHOLE, apply_rotary_pos_emb), (PART, turned_in_part)])
def test_vectors_turn_as_in_transformers(angles, reference) -> None:
    x, positions = torch.randn(3, 5, 2, 16, dtype=torch.float64), torch.arange(5).expand(3, 5) + torch.tensor([[0], [2], [9]])
    turn = Rotary(angles).at(x, positions)
    cos, sin = angles(x, positions)
    expected = reference(x.transpose(1, 2), x.transpose(1, 2), cos, sin)[0].transpose(1, 2)
    torch.testing.assert_close(turn(x), expected)
    flat = Rotary(angles).at(x, positions.flatten())
    torch.testing.assert_close(flat(x.flatten(0, 1)), expected.flatten(0, 1))
    grad = torch.randn_like(x)
    torch.testing.assert_close((turn.back(grad) * x).sum(), (grad * expected).sum())
    torch.testing.assert_close(turn(x).norm(dim=-1), x.norm(dim=-1), atol=1e-6, rtol=1e-6)


def test_scores_depend_on_distances_alone() -> None:
    q, k = (torch.randn(1, 4, 2, 16, dtype=torch.float64) for _ in range(2))
    score = lambda start: torch.einsum(  # noqa: E731
        "riad,rjad->raij", *(Rotary(WHOLE).at(x, torch.arange(4)[None] + start)(x) for x in (q, k))
    )
    torch.testing.assert_close(score(0), score(7), atol=1e-5, rtol=1e-5)
