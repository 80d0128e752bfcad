"""AtMan against scores that are scaled one by one in the model's layers, and where it is not defined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.models.conftest import alone

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.perturbation.atman import AtMan
from flowgauge.models.layers.attention import mix
from flowgauge.models.memory import within_memory
from flowgauge.models.outputs import value

FAMILIES = ["bert", "distilbert", "modernbert", "gpt2", "gpt_neox", "llama", "mistral", "qwen3", "gemma3_text"]


def literal(model, one, token, suppression):
    """q of one sentence without padding, with the scores of a token scaled between the products and the softmax."""
    hidden = model.embed(model.words(one), one)
    for layer in model.layers:
        rule = layer.attention
        query, key, vectors = layer.project(hidden, one.positions)
        scores = torch.einsum("riad,rjad->raij", query, rule.shared(key)) * rule.scale
        for head in range(model.n_heads):
            for asking in range(one.ids.shape[1]):
                scores[0, head, asking, token] *= 1 - suppression
        mask = rule.mask(one.attention_mask)
        weights = (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)
        hidden = layer.finish(hidden, mix(weights, rule.shared(vectors)))
    return float(value(model.readout(hidden, one), one)[0])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("suppression", [0.9, 0.3])
def test_atman_scales_the_scores_before_the_softmax(models, batches, family, suppression):
    model = models(family)
    batch = batches(model, [6, 4])
    clean = value(model.outputs(batch), batch).tolist()
    for row, one in enumerate(AtMan(suppression).explain(model, batch)):
        single = alone(batch, row)
        expected = [clean[row] - literal(model, single, token, suppression) for token in range(batch.lengths[row])]
        assert np.abs(one.tokens - expected).max() < 1e-10 * np.abs(expected).max() and np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("head", ["label", "span"])
def test_of_other_heads_too(models, batches, head):
    model = models("bert", head)
    batch = batches(model, [6, 4])
    clean = value(model.outputs(batch), batch).tolist()
    for row, one in enumerate(AtMan().explain(model, batch)):
        expected = [clean[row] - literal(model, alone(batch, row), token, 0.9) for token in range(batch.lengths[row])]
        assert np.abs(one.tokens - expected).max() < 1e-10 * np.abs(expected).max()


def test_keys_of_zeros_have_nothing_to_lose(models, batches):
    model = models("bert")
    with torch.no_grad():
        for layer in model.layers:
            layer.attention.key.weight.zero_()
            layer.attention.key.bias.zero_()
    for one in AtMan().explain(model, batches(model, [6, 4])):
        assert abs(one.tokens).max() < 1e-12


def test_atman_in_many_passes(model, batches):
    batch = batches(model, [6, 5, 4])
    whole = AtMan().explain(model, batch)
    with within_memory(1):
        for one, two in zip(whole, AtMan().explain(model, batch), strict=True):
            assert one.tokens == pytest.approx(two.tokens, abs=1e-12)


@pytest.mark.parametrize("family", ["deberta-v2", "mpnet", "gemma2"])
def test_scores_with_other_parts_are_refused(models, batches, family):
    model = models(family)
    with pytest.raises(NotApplicable, match="parts for distances or a soft cap"):
        AtMan().explain(model, batches(model, [4]))


@pytest.mark.parametrize("suppression", [0.0, 1.1])
def test_other_factors_are_refused(suppression):
    with pytest.raises(UsageError, match="suppression must be"):
        AtMan(suppression)
