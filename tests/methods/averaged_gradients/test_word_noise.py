"""Noise of word vectors: its size, where it is, and that only an instance's own seed decides it."""

from __future__ import annotations

import pytest
import torch

from flowgauge.methods.averaged_gradients.word_noise import WordNoise, value_range


def test_the_range_is_that_of_the_sentences_own_words(model, batches):
    batch = batches(model, [6, 4])
    for row, n in enumerate(batch.lengths):
        own = model.words(batch)[row, :n]
        assert value_range(model, batch)[row] == own.max() - own.min()


def test_noise_has_the_deviation_asked_for_and_leaves_out_other_positions(model, batches):
    batch = batches(model, [6, 4])
    noisy = batch.attention_mask.clone()
    noisy[0, 2] = False
    drawn = WordNoise(model, batch, 0.5, noisy).draw(torch.tensor([0, 1]).repeat_interleave(400)).unflatten(0, (2, 400))
    assert not drawn.transpose(1, 2)[~noisy].any()
    for row in range(2):
        entries = drawn[row][:, noisy[row]] / (0.5 * value_range(model, batch)[row])
        assert float(entries.std()) == pytest.approx(1, abs=0.02) and float(entries.mean()) == pytest.approx(0, abs=0.02)


def test_draws_depend_on_the_instance_alone(model, batches):
    batch = batches(model, [6, 4])
    together = WordNoise(model, batch, 1.0, batch.attention_mask)
    mixed = together.draw(torch.tensor([1, 0, 1]))
    alone = batch.rows(torch.tensor([1]))
    alone = alone.only(alone.attention_mask)
    single = WordNoise(model, alone, 1.0, alone.attention_mask)
    one_by_one = torch.cat([single.draw(torch.tensor([0])) for _ in range(2)])
    assert torch.equal(one_by_one, mixed[[0, 2], :4]) and not torch.equal(mixed[0], mixed[2])
