"""Masks of single instances: the estimators against exact gradients, what the descent finds, and what must not matter to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from tests.methods.masks.conftest import masked_divergence, short

from flowgauge.core.errors import UsageError
from flowgauge.methods.masks.diffmask_single import DiffMaskSingle
from flowgauge.methods.masks.hard_concrete import HardConcrete
from flowgauge.methods.masks.mask_search import MaskProblem, smallest_prefix
from flowgauge.methods.masks.reinforce_mask import ReinforceMask
from flowgauge.methods.perturbation.exact_erasure import ExactErasure
from flowgauge.models.inputs.encode import reseed
from flowgauge.models.outputs import divergence


def test_all_open_is_the_clean_input_and_all_shut_is_the_same_for_all(counting):
    batch = short(counting, 4)
    problem = MaskProblem(counting, batch, "zero")
    assert problem.divergence(torch.ones_like(problem.free)).abs().max() < 1e-12
    keep = torch.zeros_like(problem.free)
    torch.testing.assert_close(problem.divergence(keep), masked_divergence(counting, batch, keep))


@pytest.fixture(scope="module")
def sharp(models):
    """A random transformer of 40 classes whose outputs hang on its words."""
    model = models("bert", "label", num_labels=40)
    model.hf.classifier.weight.data.mul_(40)
    return model


@pytest.mark.parametrize(
    "method",
    [DiffMaskSingle(steps=300), ReinforceMask(steps=600, reinforce_scale="lambda", penalty="log")],
    ids=["diffmask", "reinforce"],
)
def test_what_is_not_needed_is_dropped_and_what_is_needed_kept(sharp, batches, method):
    batch = batches(sharp, [8, 7, 8], seed=3)
    ids = batch.ids.clone()
    ids[:, 5] = sharp.tokenizer.mask_token_id  # what stands in, so that masking it changes nothing
    batch = replace(batch, ids=ids, pairwise=False)
    method = replace(method, lr=0.05, baseline="mask")
    loose = replace(method, margin=20.0).explain(sharp, batch)
    strict = replace(method, margin=0.01).explain(sharp, batch)
    assert np.mean([e.mask[0, 5] for e in strict]) < np.mean([e.values["kept"] for e in strict]) / 2
    for row, (most, least) in enumerate(zip(strict, loose, strict=True)):
        assert most.values["kept"] > 0.1 > 0.01 > least.values["kept"] and least.values["lambda"] == 0
        assert most.values["kept"] == pytest.approx(most.mask[0].mean()) and 0 < most.values["lambda"] <= 200
        assert (most.mask == most.mask[0]).all() and most.mask.shape == (5, batch.lengths[row])
        np.testing.assert_array_equal(most.tokens, most.mask[0])
        np.testing.assert_array_equal(most.fill, sharp.word_embedding.weight[sharp.tokenizer.mask_token_id][None].numpy())
        one = batch.rows(torch.tensor([row]))
        keep = torch.nn.functional.pad(torch.from_numpy(most.mask[0] > 0.5), (0, 8 - batch.lengths[row]))[None, :, None]
        words = torch.where(keep, sharp.words(one), torch.from_numpy(most.fill[0]))
        lost = divergence(sharp.outputs(replace(one, word_vectors=words)), sharp.outputs(one))
        assert most.values["hard_divergence"] == pytest.approx(float(lost), abs=1e-9)
        assert lost < least.values["hard_divergence"]


def test_what_may_not_be_masked_is_kept(counting):
    for explanation in DiffMaskSingle(steps=3, margin=50.0).explain(counting, short(counting, 4)):
        assert (explanation.mask[:, :2] == 1).all() and (explanation.gate[:, :2] == 1).all()  # the query
        assert (explanation.tokens[:2] == 0).all() and (explanation.tokens[2:] > 0).all()
        np.testing.assert_allclose(
            explanation.gate[0, 2:], HardConcrete(torch.from_numpy(logit(explanation.mask[0, 2:]) - 0.2 * np.log(5))).mean()
        )


@pytest.mark.parametrize("margin", [1e-9, 0.001, 0.05, 50.0])
def test_a_prefix_is_good_or_has_every_word_and_no_shorter_one_is_good(counting, margin):
    batch = short(counting, 6, 8)
    problem = MaskProblem(counting, batch, "zero")
    scores = torch.randn(problem.free.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).round()  # has ties
    found = smallest_prefix(problem, scores, margin)
    for row in range(len(batch)):
        free = problem.free[row].nonzero()[:, 0].tolist()
        ranking = sorted(free, key=lambda i: (-float(scores[row, i]), i))
        keep = torch.zeros(7, *problem.free.shape, dtype=torch.float64)
        for size in range(7):
            keep[size, row, ranking[:size]] = 1
        good = [float(masked_divergence(counting, batch, one)[row]) <= margin for one in keep]
        size = good.index(True) if any(good) else 6
        assert good[6], "all words are the clean input"
        assert found[row].tolist() == keep[size, row].tolist()
    assert (found.sum() == 0) == (margin == 50.0)


def test_the_prefix_of_the_exact_ranking_is_the_exact_set(counting):
    batch = short(counting, 7, 8)
    for margin in (1e-4, 0.003, 0.01):
        exact = ExactErasure(margin=margin).explain(counting, batch)
        chosen = torch.from_numpy(np.stack([e.mask[0] for e in exact]))
        problem = MaskProblem(counting, batch, "zero")
        found = smallest_prefix(problem, chosen, margin)
        assert torch.equal(found, chosen * problem.free) and 0 < found.sum() < problem.free.sum()


@pytest.mark.parametrize("kind", [DiffMaskSingle, ReinforceMask])
def test_reading_a_prefix_changes_the_mask_and_not_the_scores(counting, kind):
    batch = short(counting, 6)
    methods = [kind(steps=60, lr=0.1, readout=readout) for readout in ("threshold", "prefix")]
    whole, prefix = (method.explain(counting, batch) for method in methods)
    assert len(batch.cache.pop("charges")) == 1, "the second takes the descent of the first"
    alone = methods[1].explain(counting, replace(batch, cache={}))
    assert all((a.mask == b.mask).all() and a.values == b.values for a, b in zip(alone, prefix, strict=True))
    other = methods[1].explain(counting, reseed(batch, 7))
    assert "charges" not in batch.cache and any((a.tokens != b.tokens).any() for a, b in zip(other, prefix, strict=True))
    for soft, hard in zip(whole, prefix, strict=True):
        np.testing.assert_array_equal(soft.tokens, hard.tokens)
        kept = hard.mask[0, 2:]
        assert set(kept) <= {0.0, 1.0} and hard.gate is None and (hard.mask[:, :2] == 1).all()
        assert hard.values["kept"] == kept.mean() and hard.values["margin"] == soft.values["margin"] == 0.1
        assert hard.values["hard_divergence"] <= 0.1 or kept.all()
        assert hard.tokens[2:][kept == 1].min(initial=1) >= hard.tokens[2:][kept == 0].max(initial=0)


@pytest.mark.parametrize("penalty", ["l0", "log"])
@pytest.mark.parametrize("kind", [DiffMaskSingle, ReinforceMask])
def test_the_penalty_is_the_mean_probability_or_its_logarithm(counting, kind, penalty):
    """Its gradient alone is left where the divergence has no weight."""
    batch = short(counting, 4)
    problem = MaskProblem(counting, batch, "zero")
    x = torch.linspace(-3, 3, problem.free.numel(), dtype=torch.float64).view_as(problem.free).requires_grad_()
    settings = {"reinforce_scale": "lambda"} if kind is ReinforceMask else {}
    method = kind(penalty=penalty, **settings)
    loss = method.objective(problem, x, torch.full_like(x, 0.5).detach(), torch.zeros(3, dtype=torch.float64), {}).loss
    (grad,) = torch.autograd.grad(loss.sum(), x)
    shift = 0.2 * np.log(5) if kind is DiffMaskSingle else 0.0
    p = expit(x.detach().numpy() + shift)
    wanted = (p * (1 - p) if penalty == "l0" else 1 - p) / 4
    np.testing.assert_allclose(grad, wanted * problem.free.numpy(), rtol=1e-9)


def test_settings_out_of_range_are_refused():
    with pytest.raises(UsageError, match="steps must be above 0, got 0"):
        DiffMaskSingle(steps=0)
    with pytest.raises(UsageError, match="baseline must be zero, mask or pad, got 'mean'"):
        ReinforceMask(baseline="mean")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="penalty must be l0 or log, got 'l1'"):
        DiffMaskSingle(penalty="l1")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="readout must be threshold or prefix, got 'top'"):
        ReinforceMask(readout="top")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="reinforce_scale must be none or lambda, got 'all'"):
        ReinforceMask(reinforce_scale="all")  # type: ignore[arg-type]
