"""Methods of words against captum's own, and the properties they share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLasso, SkLearnLinearRegression
from captum.attr import FeatureAblation, InputXGradient, KernelShap, Lime, Saliency, ShapleyValueSampling
from captum.attr._core.lime import get_exp_kernel_similarity_function
from tests.methods.perturbation.conftest import FAMILIES, hf_q

from flowgauge.core.errors import UsageError
from flowgauge.methods.gradients import saliency as gradients
from flowgauge.methods.perturbation import shapley_and_lime as removal
from flowgauge.methods.perturbation.captum_words import seeded
from flowgauge.methods.perturbation.leave_one_out import LeaveOneOut
from flowgauge.models.baseline import baseline_words

ALL: list[Any] = [
    gradients.Saliency(), gradients.Saliency("l1"), gradients.GradientXInput(), LeaveOneOut(), removal.ShapleySampling(3),
    removal.Lime(20), removal.KernelShap(10),
]  # fmt: skip


def presence(forward, words, removed):
    """q of which words are there, mixed from the vectors by hand."""
    return lambda there: forward(words * there[..., None] + removed["baselines"] * (1 - there[..., None]))


def spread_of_q(forward, n, seed, samples):
    """Standard deviation of q over the removals that captum draws for LIME."""
    seen = []

    def recorded(there):
        seen.append(forward(there))
        return seen[-1]

    with seeded(seed):
        plain = Lime(recorded, SkLearnLinearRegression(), get_exp_kernel_similarity_function())
        plain.attribute(torch.ones(1, n, dtype=torch.float64), n_samples=samples)
    assert len(seen) == samples
    return float(torch.cat(seen).std())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["masked", "label"])
def test_token_methods_equal_captums_own(models, batches, family, head):
    model = models(family, head)
    batch = batches(model, [6, 4])
    masked = baseline_words(model, batch, "mask")
    for row, n in enumerate(batch.lengths):
        words = model.words(batch)[row : row + 1, :n].detach()
        places = torch.arange(n)[None, :, None].repeat(1, 1, words.shape[2])
        forward, leaf = hf_q(model, batch, row), words.clone().requires_grad_(True)
        removed = {"baselines": masked[row : row + 1, :n].clone(), "feature_mask": places}
        with torch.no_grad():
            penalty = 1e-2 * spread_of_q(presence(forward, words, removed), n, batch.seeds[row], 20)
            ablated = FeatureAblation(forward).attribute(words, **removed)[..., 0]
            sampled = [
                (ShapleyValueSampling(forward), {"n_samples": 3}),
                (
                    Lime(presence(forward, words, removed), SkLearnLasso(alpha=penalty), get_exp_kernel_similarity_function()),
                    {"n_samples": 20},
                ),
                (KernelShap(presence(forward, words, removed)), {"n_samples": 10}),
            ]
            drawn = []
            for number, (oracle, samples) in enumerate(sampled):
                with seeded(batch.seeds[row]):
                    there = torch.ones(1, n, dtype=words.dtype)
                    drawn.append(
                        oracle.attribute(there, **samples) if number else oracle.attribute(words, **samples, **removed)[..., 0]
                    )
        expected = [
            Saliency(forward).attribute(leaf, abs=True).norm(dim=-1),
            Saliency(forward).attribute(leaf, abs=True).sum(-1),
            InputXGradient(forward).attribute(leaf).sum(-1),
            ablated,
            *drawn,
        ]
        assert np.abs(expected[-1].numpy()).max() > 0 and np.abs(expected[-2].numpy()).max() > 0
        for made, oracle in zip(ALL, expected, strict=True):
            found = made.explain(model, batch)[row].tokens
            assert np.abs(found - oracle[0].detach().numpy()).max() < 1e-5, made


@pytest.mark.parametrize("made", ALL, ids=repr)
def test_padding_order_and_batch_size_change_nothing(model, batches, made):
    batch = batches(model, [7, 4, 5])
    together, state = made.explain(model, batch), torch.get_rng_state()
    for row in (2, 1):
        alone = batch.rows(torch.tensor([row]))
        found = made.explain(model, alone)[0].tokens
        np.testing.assert_allclose(found, together[row].tokens, atol=1e-12)
    assert torch.equal(torch.get_rng_state(), state)


def test_moved_word_vectors_are_what_is_explained(model, batches):
    """As the sensitivity metric asks; with the vectors of other words, it is those words' explanation."""
    batch, other = batches(model, [6, 4]), batches(model, [6, 4], seed=5)
    moved = replace(batch, word_vectors=model.words(other).detach(), cache={})
    for made in (*ALL, LeaveOneOut("delete")):
        for one, two in zip(made.explain(model, moved), made.explain(model, other), strict=True):
            assert one.tokens == pytest.approx(two.tokens, abs=1e-12), made


def test_a_word_that_is_the_baseline_matters_to_none_that_removes(model, batches):
    batch = batches(model, [6])
    gap = int(batch.target[0])
    assert LeaveOneOut().explain(model, batch)[0].tokens[gap] == pytest.approx(0, abs=1e-12)
    assert abs(removal.ShapleySampling(4).explain(model, batch)[0].tokens[gap]) < 1e-12


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: gradients.Saliency("l3"), "norm must be"), (lambda: LeaveOneOut("cut"), "mean-words or delete"),
        (lambda: removal.ShapleySampling(0), "samples must be above 0"),
        (lambda: removal.Lime(1), "at least 2"), (lambda: removal.Lime(width=0.0), "width must be above 0"),
        (lambda: removal.KernelShap(2), "at least 3"),
    ],
)  # fmt: skip
def test_refused_settings(make, said):
    with pytest.raises(UsageError, match=said):
        make()
