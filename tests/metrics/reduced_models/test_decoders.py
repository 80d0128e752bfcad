"""Reduced decoders against a loop over GPT-2's own submodules: every operator, nodes and heads, and attention that is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.metrics.reduced_models.test_nodes import random_subgraph
from tests.models.conftest import PAD, make_batch, make_model

from flowgauge.metrics.reduced_models.heads import pruned_outputs
from flowgauge.metrics.reduced_models.nodes import reduced_outputs
from flowgauge.models.batch import Rows
from flowgauge.models.flow.graph import Subgraph
from flowgauge.models.interventions.ablation import replaced_states

OPERATORS = ("zero", "mean", "resample", "mask", "cut")


def naive_logits(model, batch, row, kept, hidden, context, cut) -> torch.Tensor:
    """One text without padding, position by position, head by head: keys are those at and before each position."""
    gpt2, n = model.hf.transformer, batch.lengths[row]
    pick = lambda stays, value, other: value if stays else torch.zeros_like(value) + other  # noqa: E731
    h = gpt2.wte(batch.ids[row, :n]) + gpt2.wpe(torch.arange(n))
    h = torch.stack([pick(kept.nodes[0, i], h[i], hidden(0, i)) for i in range(n)])
    for number, layer in enumerate(gpt2.h):
        query, key, value = layer.attn.c_attn(layer.ln_1(h)).chunk(3, -1)
        size, nxt = layer.attn.head_dim, []
        for i in range(n):
            seen, made = [p for p in range(i + 1) if kept.nodes[number, p] or not cut], []
            for head in range(model.n_heads):
                part = slice(head * size, (head + 1) * size)
                scores = [query[i][part] @ key[p][part] / size**0.5 for p in seen]
                weights = torch.stack(scores).softmax(0) if seen else torch.zeros(0)
                mixed = sum((w * value[p][part] for w, p in zip(weights, seen, strict=True)), torch.zeros(size).double())
                made.append(pick(kept.heads is None or kept.heads[number, i, head], mixed, context(number, i, head)))
            skip = pick(kept.skips is None or kept.skips[number, i], h[i], hidden(number, i))
            middle = layer.attn.c_proj(torch.cat(made)) + skip
            nxt.append(pick(kept.nodes[number + 1, i], layer.mlp(layer.ln_2(middle)) + middle, hidden(number + 1, i)))
        h = torch.stack(nxt)
    logits: torch.Tensor = model.hf.lm_head(gpt2.ln_f(h))[n - 1]
    return logits


def states(model, batch):
    """hidden[l] and context[l] of the whole model, layer by layer."""
    (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep={"hidden", "context"})
    return [trace.site("hidden", layer) for layer in range(4)], [trace.site("context", layer) for layer in range(3)]


def by_hand(model, batches, operator, row):
    """What replaces the states of instance `row` of the first batch: (hidden, context, cut)."""
    first, other = batches
    if operator in ("zero", "cut"):
        return lambda *_: 0.0, lambda *_: 0.0, operator == "cut"
    if operator == "mean":
        known = [(batch.attention_mask, *states(model, batch)) for batch in batches]
        mean = lambda site, layer: torch.cat([parts[site][layer][real] for real, *parts in known]).mean(0)  # noqa: E731
        return lambda layer, i: mean(0, layer), lambda layer, i, head: mean(1, layer)[head], False
    blank = replace(first, ids=torch.where(first.attention_mask, PAD, first.ids), cache={})
    hidden, context = states(model, blank if operator == "mask" else other)
    at = row if operator == "mask" else {0: 1, 1: 0}[row]  # 6 tokens: the second of the other batch; 5 tokens: its first
    return lambda layer, i: hidden[layer][at, i], lambda layer, i, head: context[layer][at, i, head], False


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("operator", OPERATORS)
@torch.no_grad()
def test_a_reduced_decoder_is_the_naive_loop(operator, attention):
    model = make_model("gpt2", seed=1)
    batches = make_batch(model, [6, 5], seed=3), make_batch(model, [5, 6], seed=4)
    batches = batches[0], replace(batches[1], names=("other0", "other1"))
    rng, index = np.random.default_rng(5), torch.tensor([0, 1, 0])
    kept = [random_subgraph(rng, n, attention, target=n - 1) for n in (6, 5, 6)]
    hidden = model.embed(model.words(batches[0]), batches[0])[index]
    replaced = replaced_states(model, batches, operator)(batches[0])
    (found,) = reduced_outputs(model, batches[0].rows(index), hidden, kept, replaced, index)
    for row, subgraph, logits in zip(index.tolist(), kept, found, strict=True):
        expected = naive_logits(model, batches[0], row, subgraph, *by_hand(model, batches, operator, row))
        torch.testing.assert_close(logits, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("operator", OPERATORS)
@torch.no_grad()
def test_pruned_heads_of_a_decoder_are_replaced(operator):
    model = make_model("gpt2", seed=1)
    batches = make_batch(model, [6, 5], seed=3), replace(make_batch(model, [5, 6], seed=4), names=("other0", "other1"))
    kept = np.sort(np.random.default_rng(6).random((2, 2, 3, 4)), axis=1)[:, ::-1] < 0.7
    replaced = replaced_states(model, batches, operator)(batches[0])
    for step in range(kept.shape[1]):
        (logits,) = pruned_outputs(model, batches[0], [1, 0], kept[:, step], replaced)
        for number, row in enumerate((1, 0)):
            hidden, context, _ = by_hand(model, batches, operator, row)
            n = batches[0].lengths[row]
            whole = Subgraph(np.ones((4, n), bool), np.repeat(kept[number, step][:, None], n, 1), np.ones((3, n), bool))
            expected = naive_logits(model, batches[0], row, whole, hidden, context, False)
            torch.testing.assert_close(logits[number], expected, rtol=0, atol=1e-10)
