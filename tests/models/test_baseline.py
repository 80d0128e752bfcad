"""Baselines of word vectors, against the table of words."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tests.models.conftest import DECODERS, FAMILIES

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.models.baseline import baseline_words, blanked, default_baseline, moving_words, removed_word


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
    assert torch.equal(removed_word(model, batch, "pad"), model.word_embedding.weight[model.tokenizer.pad_token_id])
    monkeypatch.setattr(model, "tokenizer", SimpleNamespace())
    with pytest.raises(NotApplicable, match=r"has no mask token: use baseline=zero\."):
        removed_word(model, batch, "mask")


def test_padding_is_the_end_of_text_where_there_is_none(models, batches, monkeypatch):
    model = models("gpt2")
    batch = batches(model, [4, 6])
    table = model.word_embedding.weight
    assert torch.equal(baseline_words(model, batch, "pad"), table[model.tokenizer.pad_token_id].expand(2, 6, -1))
    monkeypatch.setattr(model, "tokenizer", SimpleNamespace(pad_token_id=None, eos_token_id=3, mask_token_id=None))
    assert torch.equal(baseline_words(model, batch, "pad"), table[3].expand(2, 6, -1))
    with pytest.raises(NotApplicable, match=r"has no mask token; choose baseline pad, zero or mean\."):
        baseline_words(model, batch, "mask")
    assert torch.equal(blanked(model, batch).word_vectors[batch.attention_mask], table[3].expand(10, -1))


@pytest.mark.parametrize(("family", "token"), [("gpt2", 1), ("llama", 3), ("bert", 1)])
def test_padding_of_zeros_gives_way_to_the_end_of_text_on_decoders(models, batches, family, token):
    model = models(family)
    model.tokenizer.eos_token_id = 3
    assert model.word_embedding.weight[1].any() == (family == "gpt2"), "GPT-2 has no row for padding"
    words = baseline_words(model, batches(model, [4]), "pad")
    assert torch.equal(words, model.word_embedding.weight[token].expand_as(words))


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_the_default_of_its_kind(models, family):
    model = models(family)
    assert default_baseline(model) == ("pad" if family in DECODERS else "mask")
    assert default_baseline(SimpleNamespace()) == "mask", "a model of no family"


def test_the_mean_word_is_the_mean_of_what_the_model_looks_up(model, batch, monkeypatch):
    class Scaled(torch.nn.Embedding):
        """As Gemma's table."""

        def forward(self, ids):
            return 3 * super().forward(ids)

    table = Scaled.from_pretrained(model.word_embedding.weight)
    expected = 3 * table.weight.mean(0)
    monkeypatch.setattr(model, "word_embedding", table)
    monkeypatch.setattr("flowgauge.models.baseline.CHUNK", 7)
    torch.testing.assert_close(baseline_words(model, batch, "mean")[0, 0], expected)


@pytest.mark.parametrize("kind", ["mask", "zero", "mean"])
def test_a_baseline_of_words_leaves_special_tokens_as_they_are(model, batch, kind):
    word_ids = batch.word_ids.clone()
    word_ids[:, 0] = -1  # as of [CLS]
    batch = replace(batch, word_ids=word_ids)
    moved, whole = baseline_words(model, batch, f"{kind}-words"), baseline_words(model, batch, kind)
    special = (batch.word_ids[..., 0] < 0) & batch.attention_mask
    assert special.any() and torch.equal(moved[special], model.words(batch)[special])
    assert torch.equal(moved[~special], whole[~special]) and not torch.equal(moved[special], whole[special])
