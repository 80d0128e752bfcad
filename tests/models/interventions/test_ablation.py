"""Replaced states: each kind against a loop by hand, their effect, and that batches do not matter."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from tests.metrics.reduced_models.test_nodes import naive_logits, random_subgraph

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.reduced_models.heads import pruned_outputs
from flowgauge.metrics.reduced_models.nodes import reduced_outputs
from flowgauge.models.batch import Rows
from flowgauge.models.interventions.ablation import (
    MaskReplacement,
    Replacement,
    StateReplacement,
    attend_to_kept,
    replaced_states,
)

OPERATORS = ("zero", "mean", "resample", "mask", "cut")


@pytest.fixture(scope="module")
def model(make):
    return make.model(seed=1)


@pytest.fixture(scope="module")
def shown(make, model):
    """Two batches; the longest instance has no other of its length."""
    batches = [make.batch(model, [6, 5], seed=3), make.batch(model, [4, 5, 4, 7], seed=4)]
    made = [[Explanation(nodes=np.random.default_rng(n).random((4, n)), heads=np.random.default_rng(n).random((3, 4)))
             for n in batch.lengths] for batch in batches]  # fmt: skip
    return [make.by_hand(model, batch, explained) for batch, explained in zip(batches, made, strict=True)]


def states(model, batch):
    """hidden[l] and context[l] of the whole model, layer by layer."""
    with torch.no_grad():
        (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep={"hidden", "context"})
    return [trace.site("hidden", layer) for layer in range(4)], [trace.site("context", layer) for layer in range(3)]


def by_hand(model, shown, operator, row):
    """What replaces the states of instance `row` of the first batch: (hidden, context, cut) of `naive_logits`."""
    if operator == "mean":
        known = [(batch.batch, *states(model, batch.batch)) for batch in shown]
        mean = lambda at: torch.cat([parts[at[0]][at[1]][b.attention_mask] for b, *parts in known]).mean(0)  # noqa: E731
        return lambda layer, i: mean((0, layer)), lambda layer, i, head: mean((1, layer))[head], False
    if operator == "mask":
        batch = shown[0].batch
        hidden, context = states(model, replace(batch, ids=torch.where(batch.attention_mask, 4, batch.ids), cache={}))
    elif operator == "resample":
        other, at = {0: (shown[1].batch, 3), 1: (shown[1].batch, 1)}[row]  # 6 tokens: the one with 7; 5 tokens: the other with 5
        hidden, context = ([part[at : at + 1].expand(2, -1, *part.shape[2:]) for part in parts] for parts in states(model, other))
    else:
        return None, None, operator == "cut"
    return lambda layer, i: hidden[layer][row, i], lambda layer, i, head: context[layer][row, i, head], False


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_reduced_model_is_the_naive_loop(model, shown, operator, attention):
    batch, rng = shown[0].batch, np.random.default_rng(5)
    kept = [random_subgraph(rng, n, attention) for n in (6, 5, 6)]
    index = torch.tensor([0, 1, 0])
    hidden = model.embed(model.words(batch), batch)[index]
    replaced = replaced_states(model, [part.batch for part in shown], operator)(batch)
    with torch.no_grad():
        (found,) = reduced_outputs(model, batch.rows(index), hidden, kept, replaced, index)
        for row, subgraph, logits in zip(index.tolist(), kept, found, strict=True):
            expected = naive_logits(model, batch, row, subgraph, *by_hand(model, shown, operator, row))
            assert logits.numpy() == pytest.approx(expected.numpy(), abs=1e-10)


@pytest.mark.parametrize("operator", OPERATORS)
def test_pruned_heads_have_the_replacement_of_their_context_vectors(model, shown, operator):
    batch, rng = shown[0].batch, np.random.default_rng(6)
    kept = np.sort(rng.random((2, 3, 3, 4)), axis=1)[:, ::-1] < 0.7
    replaced = replaced_states(model, [part.batch for part in shown], operator)(batch)
    for step in range(kept.shape[1]):
        (logits,) = pruned_outputs(model, batch, [1, 0], kept[:, step], replaced)
        for number, row in enumerate((1, 0)):
            hidden, context, _ = by_hand(model, shown, operator, row)
            n = batch.lengths[row]
            heads = np.repeat(kept[number, step][:, None], n, 1)
            whole = replace(random_subgraph(rng, n, True), nodes=np.ones((4, n), bool), skips=np.ones((3, n), bool), heads=heads)
            with torch.no_grad():
                expected = naive_logits(model, batch, row, whole, hidden, context)
            assert logits[number].numpy() == pytest.approx(expected.numpy(), abs=1e-10)


def test_operators_change_the_output(model, shown):
    """Otherwise the tests above could not fail."""
    batch, rng = shown[0].batch, np.random.default_rng(5)
    kept = [random_subgraph(rng, n, True) for n in (6, 5)]
    hidden = model.embed(model.words(batch), batch)
    with torch.no_grad():
        found = [
            reduced_outputs(model, batch, hidden, kept, replaced_states(model, [part.batch for part in shown], name)(batch))[0]
            for name in OPERATORS
        ]
    for number, one in enumerate(found):
        assert all(abs(one - other).max() > 1e-3 for other in found[number + 1 :])


def test_what_is_resampled_from_depends_on_the_seed_and_not_on_batches(make, model):
    batch = make.batch(model, [5] * 6, seed=8)
    one = make.by_hand(model, batch, [Explanation(nodes=np.zeros((4, 5)))] * 6)
    parts = [make.by_hand(model, batch.rows(torch.tensor(rows)), one.gold[: len(rows)]) for rows in ([5, 0], [3, 1, 2, 4])]
    whole = replaced_states(model, [batch], "resample")(batch)
    apart = replaced_states(model, [part.batch for part in parts], "resample")(batch)
    other = replaced_states(model, [batch], "resample", seed=1)(batch)
    for layer in range(4):
        torch.testing.assert_close(whole.states.hidden[layer], apart.states.hidden[layer])
    assert (whole.states.hidden[2] != other.states.hidden[2]).any()
    own, _ = states(model, batch)
    assert (whole.states.hidden[3] != own[3]).flatten(1).any(1).all(), "no instance is its own donor"


def test_metrics_take_some_of_all_replacements():
    assert {*get_args(StateReplacement), *get_args(MaskReplacement)} == {*get_args(Replacement)}


def test_models_without_attention_cannot_be_cut(counting):
    with pytest.raises(NotApplicable, match="operator=cut removes attention weights"):
        replaced_states(counting, [], "cut")


def test_what_is_left_of_attention_sums_to_1():
    weights = torch.tensor([[[[0.5, 0.3, 0.2], [0.0, 0.0, 1.0]]]])
    edited = attend_to_kept(torch.tensor([[[1.0, 1.0, 0.0]]]))(0, weights)
    torch.testing.assert_close(edited, torch.tensor([[[[0.625, 0.375, 0.0], [0.0, 0.0, 0.0]]]]))
