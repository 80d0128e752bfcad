"""ALTI-Logit: what is in no score is what feed-forward blocks and biases write; words against loops over layers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from tests.methods.decomposition.conftest import bert_parts, clean_sites, held, llama_parts

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.decomposition.alti import Alti
from flowgauge.methods.decomposition.alti_logit import AltiLogit
from flowgauge.methods.decomposition.linear_readout import linear_readout
from flowgauge.models.circuits.passes import run_plain
from flowgauge.models.outputs import value
from flowgauge.tasks.instance import Quantity


def written_to_q(hf, last, part):
    return float(held(hf.model.norm, part, last) @ (hf.lm_head.weight[7] - hf.lm_head.weight[8]))


def test_words_get_what_each_layer_writes_along_the_paths_below_it(models, batches, single):
    model = models("llama")
    batch = batches(model, [5, 4])
    alti = Alti().explain(model, batch)
    for row, explanation in enumerate(AltiLogit().explain(model, batch)):
        hidden, weights = clean_sites(model, single(batch, row))
        n, t = batch.lengths[row], int(batch.target[row])
        q_of = partial(written_to_q, model.hf, hidden[3][t])
        expected, paths = np.zeros(n), np.eye(n)
        expected[t] = q_of(hidden[0][t])
        for layer in range(3):
            parts, _ = llama_parts(model.hf, layer, hidden[layer], weights[layer])
            parts[t, t] -= hidden[layer][t]  # the residual is no part of what attention writes
            for j in range(n):
                expected += q_of(parts[t, j]) * paths[j]
            paths = alti[row].edges[layer, 0] @ paths
        assert explanation.tokens == pytest.approx(expected, abs=1e-9)
        assert abs(expected).min() > 1e-3


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "gpt_neox", "modernbert"])
def test_tokens_feed_forward_blocks_and_biases_sum_to_q(models, batches, family):
    model = models(family)
    batch = batches(model, [6, 4])
    start = model.embed(model.words(batch), batch)
    written, stream = run_plain(model, batch, start)
    readout, rows = linear_readout(model, batch, stream.fed[-1]), torch.arange(2)
    others = readout.bias.clone()
    for index, layer in enumerate(model.layers):
        bias = layer.attention.output.bias
        middle = stream.middle[index]
        left = layer.left(middle, written.fed[index]) - middle
        gathered = written.heads[index].sum(-2)
        attention = middle - stream.residual[index]
        if bias is not None:  # no family has both a bias here and a norm behind it
            assert layer.post1 is None
            attention = attention - gathered
        else:
            attention = torch.zeros_like(attention)
        others += ((left + attention)[rows, batch.target] * readout.direction).sum(-1)
    q = value(model.outputs(batch), batch)
    for row, explanation in enumerate(AltiLogit().explain(model, batch)):
        assert explanation.tokens.sum() + float(others[row]) == pytest.approx(float(q[row]), abs=1e-9)
        assert explanation.values["left_out"] == pytest.approx(float(others[row]), abs=1e-9)
        assert abs(explanation.tokens).min() > 1e-3 and abs(float(others[row])) > 1e-3


def carried_up(layers, steps, target, direction, first, part):
    """q of a part of the residual after attention in layer `first` of BERT; of hidden[0] where that is -1."""
    for layer in range(max(first, 0), 3):
        _, _, before2, before1 = steps[layer]
        if layer > first:
            part = held(layers[layer].attention.output.LayerNorm, part, before1[target])
        part = held(layers[layer].output.LayerNorm, part, before2[target])
    return float(part @ direction)


def test_norms_after_each_block_are_held_up_to_the_head(models, batches, single):
    """What attention writes in BERT is carried upwards by loops through the norms above it, not downwards as the method does."""
    model = models("bert")
    batch = batches(model, [5, 4])
    alti = Alti().explain(model, batch)
    for row, explanation in enumerate(AltiLogit().explain(model, batch)):
        one, layers = single(batch, row), model.hf.bert.encoder.layer
        hidden, weights = clean_sites(model, one)
        steps = [bert_parts(model.hf, layer, hidden[layer], weights[layer]) for layer in range(3)]
        direction = linear_readout(model, one, hidden[3][None]).direction[0]
        t, n = int(batch.target[row]), batch.lengths[row]
        to_q = partial(carried_up, layers, steps, t, direction)
        expected, paths = np.zeros(n), np.eye(n)
        expected[t] = to_q(-1, hidden[0][t])
        for layer, (parts, _, _, before1) in enumerate(steps):
            parts[t, t] -= held(layers[layer].attention.output.LayerNorm, hidden[layer][t], before1[t])
            for j in range(n):
                expected += to_q(layer, parts[t, j]) * paths[j]
            paths = alti[row].edges[layer, 0] @ paths
        assert explanation.tokens == pytest.approx(expected, abs=1e-9)
        assert abs(expected).min() > 1e-4


def test_later_words_have_no_part(models, batches):
    model = models("gpt2")
    batch = replace(batches(model, [6, 5]), target=torch.tensor([2, 2]), cache={})
    for explanation in AltiLogit().explain(model, batch):
        assert not explanation.tokens[3:].any() and abs(explanation.tokens[:3]).min() > 0


def test_probabilities_are_refused(model, batch):
    with pytest.raises(NotApplicable, match="log_probability is not"):
        AltiLogit().explain(model, replace(batch, quantity=Quantity("log_probability")))
