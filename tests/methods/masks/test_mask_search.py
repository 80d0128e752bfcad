"""Masks of single instances: the estimators against exact gradients, what the descent finds, and what must not matter to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import logit
from tests.methods.masks.conftest import masked_divergence, short

from flowgauge.core.errors import UsageError
from flowgauge.methods.masks.diffmask_single import DiffMaskSingle
from flowgauge.methods.masks.hard_concrete import HardConcrete
from flowgauge.methods.masks.mask_search import MaskProblem
from flowgauge.methods.masks.reinforce_mask import ReinforceMask
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
    "method", [DiffMaskSingle(steps=300), ReinforceMask(steps=600, reinforce_scale="lambda")], ids=["diffmask", "reinforce"]
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


def test_settings_out_of_range_are_refused():
    with pytest.raises(UsageError, match="steps must be above 0, got 0"):
        DiffMaskSingle(steps=0)
    with pytest.raises(UsageError, match="baseline must be zero, mask or pad, got 'mean'"):
        ReinforceMask(baseline="mean")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="reinforce_scale must be none or lambda, got 'all'"):
        ReinforceMask(reinforce_scale="all")  # type: ignore[arg-type]
