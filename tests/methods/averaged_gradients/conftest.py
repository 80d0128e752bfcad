"""q and its gradients at other word vectors of single sentences, written out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from tests.models.conftest import alone

from flowgauge.models.outputs import value

FAMILIES = ("bert", "gpt2", "llama")
"""An encoder, a decoder, and one with grouped heads and RMSNorm."""


def q_of(model, batch, row, words):
    """q of one sentence without padding, with other word vectors (N, E)."""
    one = replace(alone(batch, row), word_vectors=words[None], cache={})
    return value(model.outputs(one), one)[0]


def gradient_of(model, batch, row, words):
    """dq/dx of one sentence at other word vectors (N, E)."""
    leaf = words.detach().clone().requires_grad_(True)
    return torch.autograd.grad(q_of(model, batch, row, leaf), leaf)[0]


def words_of(model, batch, row, vectors=None):
    """Word vectors (n, E) of one sentence, its own or its part of others."""
    return (model.words(batch) if vectors is None else vectors)[row, : batch.lengths[row]].detach()


def assert_same(explained: Sequence, expected: Sequence, tolerance: float = 1e-9) -> None:
    """Asserts that tokens are these numbers, relative to the largest of them, which is not 0."""
    for one, numbers in zip(explained, expected, strict=True):
        numbers = torch.as_tensor(numbers, dtype=torch.float64).numpy()
        assert one.tokens.shape == numbers.shape
        assert abs(numbers).max() > 1e-4
        assert abs(one.tokens - numbers).max() < tolerance * abs(numbers).max()
