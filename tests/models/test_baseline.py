"""Baselines of word vectors, against the table of words."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.models.baseline import baseline_words, blanked, moving_words, removed_word


def test_every_baseline_is_its_vector_where_words_may_be_masked(model, batch, monkeypatch):
    monkeypatch.setattr(model, "maskable", lambda batch: batch.attention_mask & (torch.arange(batch.ids.shape[1]) != 1))
    table = model.word_embedding.weight
    tokenizer = model.tokenizer
    vectors = {"zero": 0 * table[0], "mean": table.mean(0), "mask": table[tokenizer.mask_token_id]}
    free = (model.maskable(batch) | ~batch.attention_mask)[..., None]
    words = model.words(batch)
    for baseline, vector in vectors.items():
        torch.testing.assert_close(baseline_words(model, batch, baseline), torch.where(free, vector, words))
    with pytest.raises(UsageError, match="no baseline is called 'noise'; there are mask, zero, pad, mean, mask-words"):
        baseline_words(model, batch, "noise")


def test_words_that_differ_from_the_baseline_move(model, batch):
    moving = moving_words(model, batch, "mask")
    assert torch.equal(moving, model.maskable(batch) & batch.attention_mask & (batch.ids != model.tokenizer.mask_token_id))
    assert moving.any() and not moving.all()


def test_a_blanked_batch_has_the_mask_vector_at_its_words(model, batch, monkeypatch):
    monkeypatch.setattr(model, "maskable", lambda batch: batch.attention_mask & (torch.arange(batch.ids.shape[1]) != 1))
    blank = blanked(model, batch).word_vectors
    free = batch.attention_mask & model.maskable(batch)
    assert (blank[free] == model.word_embedding.weight[model.tokenizer.mask_token_id]).all()
    assert torch.equal(blank[~free], model.words(batch)[~free])


def test_the_vector_of_removed_words(model, batch, monkeypatch):
    assert not removed_word(model, batch, "zero").any()
    assert torch.equal(removed_word(model, batch, "mask"), model.word_embedding.weight[model.tokenizer.mask_token_id])
    monkeypatch.setattr(model, "tokenizer", SimpleNamespace())
    with pytest.raises(NotApplicable, match="has no mask token: use baseline=zero"):
        removed_word(model, batch, "mask")


@pytest.mark.parametrize("kind", ["mask", "zero", "mean"])
def test_a_baseline_of_words_leaves_special_tokens_as_they_are(model, batch, kind):
    word_ids = batch.word_ids.clone()
    word_ids[:, 0] = -1  # as of [CLS]
    batch = replace(batch, word_ids=word_ids)
    moved, whole = baseline_words(model, batch, f"{kind}-words"), baseline_words(model, batch, kind)
    special = (batch.word_ids[..., 0] < 0) & batch.attention_mask
    assert special.any() and torch.equal(moved[special], model.words(batch)[special])
    assert torch.equal(moved[~special], whole[~special]) and not torch.equal(moved[special], whole[special])
