"""The layer loop: equal to Hugging Face, open to edits at every site."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from flowgauge.models.batch import SITES, Batch, Rows
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.outputs import value

NEWER = ["albert", "deberta-v2", "modernbert", "mpnet"]
"""One family of each kind of layer of encoders besides BERT's."""
FAMILIES = [
    "bert",
    "roberta",
    "electra",
    "distilbert",
    *NEWER,
    "gpt2",
    "gpt_neox",
    "mistral",
    "qwen3",
    "gemma2",
    "gemma3_text",
    "opt",
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["", "span"])
def test_padding_changes_nothing(models, batches, single, family, head):
    model = models(family, head, dtype=torch.float32)
    batch = batches(model, [7, 4, 5])
    together = model.outputs(batch)
    for row, length in enumerate(batch.lengths):
        for whole, alone in zip(together, model.outputs(single(batch, row)), strict=True):
            there = whole[row, :length] if head == "span" else whole[row]
            assert torch.allclose(alone[0], there, atol=1e-5, rtol=1e-5)


def test_rows_that_enter_later_give_what_they_give_alone(model: FlowModel, batch: Batch):
    start = model.embed(model.words(batch), batch)
    (clean,) = model.run(Rows(batch, start), keep={"hidden", "context"})
    groups = [Rows(batch, clean.site("hidden", layer) * 0.5, layer) for layer in (2, 0, 3, 1)]
    for group, trace in zip(groups, model.run(*groups), strict=True):
        (own,) = model.run(group)
        assert torch.allclose(trace.site("hidden", 3), own.site("hidden", 3), atol=1e-12)


def test_rows_have_no_value_below_where_they_came_in(model: FlowModel, batch: Batch):
    start = model.embed(model.words(batch), batch)
    first, later = model.run(Rows(batch, start), Rows(batch, start, 2), keep={"hidden", "context"})
    for site, layer in (("hidden", 1), ("context", 0)):
        assert len(first.site(site, layer)) == len(batch)
        with pytest.raises(KeyError, match=rf"{site}\[{layer}\] is below hidden\[2\], where these rows entered"):
            later.site(site, layer)
    assert torch.equal(later.site("hidden", 2), start)
    with pytest.raises(KeyError, match="was not kept"):
        later.site("value", 2)


def test_rows_may_all_enter_at_the_last_layer(model: FlowModel, batch: Batch):
    hidden = torch.randn(3, 6, 16, dtype=torch.float64)
    (trace,) = model.run(Rows(batch, hidden, layer=3))
    assert torch.equal(trace.site("hidden", 3), hidden)


@pytest.mark.parametrize("keep", [set(), set(SITES)])
def test_target_only_leaves_out_what_the_readout_does_not_read(models, batches, keep):
    model = models("roberta")
    y = model.layers[2].attention
    for part in (y.query, y.key, y.value):
        part.bias.copy_(torch.linspace(-1, 2, 16, dtype=torch.float64))
    batch, other = batches(model, [6, 4, 5]), batches(model, [5, 6], target=1)
    start, later = model.embed(model.words(batch), batch), torch.randn(2, 6, 16, dtype=torch.float64)
    groups = [Rows(batch, start), Rows(other, later, 2), Rows(other, later, 3), Rows(other, later[:, 1:2], 3)]
    whole, cut = model.run(*groups[:3], keep=keep), model.run(*groups, keep=keep, target_only=True)
    for group, one, short in zip([*groups[:3], groups[2]], [*whole, whole[2]], cut, strict=True):
        expected = one.site("hidden", 3)[torch.arange(len(group.batch)), group.batch.target]
        assert short.site("hidden", 3).shape[1] == 1
        assert torch.allclose(short.site("hidden", 3)[:, 0], expected, atol=1e-12)
        long_way, logits = (model.readout(t.site("hidden", 3), group.batch)[0] for t in (one, short))
        assert torch.allclose(logits, long_way, atol=1e-12)
    if keep:
        attention = whole[0].site("attention", 2)[torch.arange(3), :, batch.target]
        assert torch.allclose(cut[0].site("attention", 2)[:, :, 0], attention, atol=1e-12)
        assert torch.equal(cut[0].site("value", 2), whole[0].site("value", 2))


@pytest.mark.parametrize("family", NEWER)
def test_target_only_leaves_every_familys_readout_as_it_is(models, batches, family):
    model = models(family)
    batch = batches(model, [6, 4, 5])
    start = model.embed(model.words(batch), batch)
    for keep in (set(), {"attention", "query"}):
        (whole,), (cut,) = (model.run(Rows(batch, start), keep=keep, target_only=only) for only in (False, True))
        expected, found = (model.readout(trace.site("hidden", 3), batch)[0] for trace in (whole, cut))
        assert cut.site("hidden", 3).shape[1] == 1
        assert torch.allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("family", ["bert", *NEWER])
@pytest.mark.parametrize("site", SITES)
def test_every_edit_bites_at_every_layer_and_only_its_own_rows(models, batches, family, site):
    model = models(family)
    batch = batches(model, [6, 5, 4])
    start = model.embed(model.words(batch), batch)
    clean = model.outputs(batch)[0]
    for wanted in range(3):
        edit = {site: lambda layer, x, wanted=wanted: x * 0.3 if layer == wanted else x}
        edited, untouched = model.run(Rows(batch, start, edits=edit), Rows(batch, start))
        assert torch.allclose(model.readout(untouched.site("hidden", 3), batch)[0], clean, atol=1e-12)
        assert (model.readout(edited.site("hidden", 3), batch)[0] - clean).abs().max() > 1e-6


@pytest.mark.parametrize("family", ["bert", *NEWER])
def test_a_kept_value_is_the_edited_one_and_carries_the_gradient(models, batches, family):
    model = models(family)
    batch = batches(model, [6, 5, 4])
    start = model.embed(model.words(batch), batch).requires_grad_(True)
    keep = {"hidden", "query", "key", "value", "skip", "context"}
    (trace,) = model.run(Rows(batch, start, edits={"context": lambda layer, x: x * 2}), keep=keep)
    q = value(model.readout(trace.site("hidden", 3), batch), batch).sum()
    sites = [trace.whole(s, 1) for s in ("hidden", "skip", "query", "key", "value")]
    hidden, skip, *projected = torch.autograd.grad(q, sites, retain_graph=True)
    at = trace.site("hidden", 1).detach().requires_grad_(True)
    through = torch.autograd.grad(tuple(model.layers[1].project(at, batch.positions)), at, tuple(projected))[0]
    assert torch.allclose(hidden, skip + through, atol=1e-12)


def test_missing_sites_and_bad_edits_say_so(model: FlowModel, batch: Batch):
    start = model.embed(model.words(batch), batch)
    (trace,) = model.run(Rows(batch, start))
    with pytest.raises(KeyError, match=r"query\[0\] was not kept"):
        trace.site("query", 0)
    with pytest.raises(ValueError, match=r"edit of context\[0\] returned shape"):
        model.run(Rows(batch, start, edits={"context": lambda layer, x: x[:, :2]}))
    with pytest.raises(ValueError, match="no site is called"):
        Rows(batch, start, edits={"residual": lambda layer, x: x})
    with pytest.raises(ValueError, match="2 hidden states for a batch of 3"):
        Rows(batch, start[:2])
    with pytest.raises(ValueError, match="same number of tokens"):
        model.run(Rows(batch, start), Rows(batch, start[:, :4]))


def test_fingerprint_follows_the_weights(models: Callable[..., FlowModel]):
    backend = type(
        "T", (), {"backend_tokenizer": type("B", (), {"to_str": lambda self: "words"})(), "mask_token_id": 4, "pad_token_id": 1}
    )()
    first, again, other = models(seed=0), models(seed=0), models(seed=1)
    for model in (first, again, other):
        model.tokenizer = backend
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()


def test_a_run_to_the_target_alone_keeps_all_positions(models, batches):
    model = models("bert", "span")
    batch = batches(model, [6, 4])
    whole, cut = (
        model.run(Rows(batch, model.embed(model.words(batch), batch)), target_only=only)[0].site("hidden", 3)
        for only in (False, True)
    )
    assert torch.equal(whole, cut)


def test_which_positions_attend_to_which(models):
    assert models("bert").attends(4) is None
    causal, window = models("gpt2").attends(4), models("mistral", sliding_window=2).attends(4)
    lower = np.tril(np.ones((4, 4), bool))
    assert causal.shape == (3, 4, 4) and (causal == lower).all()
    assert (window == lower & ~np.tril(np.ones((4, 4), bool), -2)).all()
