"""Token methods against captum on the Hugging Face model itself, exact Shapley values, and by hand."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLasso, SkLearnLinearRegression
from captum.attr import FeatureAblation, InputXGradient, KernelShap, Lime, Saliency, ShapleyValueSampling
from captum.attr._core.lime import get_exp_kernel_similarity_function

from flowgauge.core.errors import UsageError
from flowgauge.methods.gradients import saliency as gradients
from flowgauge.methods.perturbation import shapley_and_lime as removal
from flowgauge.methods.perturbation.captum_words import seeded
from flowgauge.methods.perturbation.leave_one_out import LeaveOneOut
from flowgauge.models.baseline import baseline_words
from flowgauge.models.outputs import value

FAMILIES = ["bert", "roberta", "electra", "distilbert"]
ALL: list[Any] = [
    gradients.Saliency(), gradients.Saliency("l1"), gradients.GradientXInput(), LeaveOneOut(), removal.ShapleySampling(3),
    removal.Lime(20), removal.KernelShap(10),
]  # fmt: skip


def hf_q(model, batch, row):
    """q of word vectors by the Hugging Face model."""
    mask, length = batch.attention_mask[row : row + 1], batch.lengths[row]

    def forward(words):
        logits = model.hf(inputs_embeds=words, attention_mask=mask[:, :length].expand(len(words), -1).long()).logits
        logits = logits[:, int(batch.target[row])] if model.head == "masked" else logits
        return logits[:, int(batch.answer[row, 0])] - logits[:, int(batch.against[row, 0])]

    return forward


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


def q_of(model, batch):
    """q of every coalition of one sentence's words, and exact Shapley values."""
    n, forward = batch.lengths[0], hf_q(model, batch, 0)
    x, x_b = model.words(batch)[0], baseline_words(model, batch, "mask")[0]
    sets = [frozenset(s) for size in range(n + 1) for s in itertools.combinations(range(n), size)]
    there = torch.tensor([[float(i in s) for i in range(n)] for s in sets], dtype=x.dtype)
    with torch.no_grad():
        q = dict(zip(sets, forward(torch.lerp(x_b[None], x[None], there[..., None])).tolist(), strict=True))
    values = np.zeros(n)
    for j in range(n):
        for s in (s for s in sets if j not in s):
            weight = math.factorial(len(s)) * math.factorial(n - len(s) - 1) / math.factorial(n)
            values[j] += weight * (q[s | {j}] - q[s])
    return q, values


def test_shapley_values(model, batches):
    batch = batches(model, [4])
    q, exact = q_of(model, batch)
    change = q[frozenset(range(4))] - q[frozenset()]
    assert exact.sum() == pytest.approx(change)
    for samples in (1, 7):  # complete after every permutation
        (found,) = removal.ShapleySampling(samples).explain(model, batch)
        assert found.tokens.sum() == pytest.approx(change, abs=1e-6)  # captum sums in float32
        assert found.values["q_baseline"] == pytest.approx(q[frozenset()])
    (found,) = removal.ShapleySampling(2000).explain(model, batch)
    assert np.abs(found.tokens - exact).max() < 0.05 * np.abs(exact).max()
    for samples in (2**4, 2000):  # every coalition once
        (fitted,) = removal.KernelShap(samples).explain(model, batch)
        assert np.abs(fitted.tokens - exact).max() < 1e-5 * np.abs(exact).max()


def test_kernel_shap_draws_where_coalitions_are_too_many(model, batches):
    batch = batches(model, [6])
    q, exact = q_of(model, batch)
    (few,), (many,) = (removal.KernelShap(samples).explain(model, batch) for samples in (20, 63))
    error = [np.abs(found.tokens - exact).max() / np.abs(exact).max() for found in (few, many)]
    assert 1e-3 < error[1] < error[0] < 1
    for found in (few, many):
        assert found.tokens.sum() == pytest.approx(q[frozenset(range(6))] - q[frozenset()], rel=1e-3)


def test_every_coalition_comes_once_with_the_shapley_kernel():
    sets = torch.cat(list(removal.coalitions(torch.ones(1, 3))))
    assert sorted(sets.tolist()) == sorted(map(list, itertools.product((0, 1), repeat=3)))
    weights = [float(removal.shapley_kernel(None, None, s[None])) for s in sets]
    assert weights == pytest.approx([removal.ENDS if s.sum() in (0, 3) else 1 / 3 for s in sets])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["masked", "label"])
def test_leave_one_out_by_deletion_is_the_shorter_sentence(models, batches, family, head):
    model = models(family, head)
    batch = batches(model, [6, 4])
    found = LeaveOneOut("delete").explain(model, batch)
    for row, n in enumerate(batch.lengths):
        gap, ids = int(batch.target[row]), batch.ids[row, :n]

        def q(ids, target):
            logits = model.hf(input_ids=ids[None], attention_mask=torch.ones_like(ids[None])).logits
            logits = logits[0, target] if model.head == "masked" else logits[0]
            return float(logits[batch.answer[row, 0]] - logits[batch.against[row, 0]])  # noqa: B023

        falls = [q(ids, gap) - q(torch.cat([ids[:j], ids[j + 1 :]]), gap - (j < gap)) if j != gap else 0.0 for j in range(n)]
        assert found[row].tokens == pytest.approx(np.array(falls), abs=1e-6)
        assert np.abs(falls).max() > 1e-3


def test_leave_one_out_in_many_passes(model, batches, monkeypatch):
    batch = batches(model, [6, 5, 4])
    whole = LeaveOneOut().explain(model, batch)
    monkeypatch.setattr("flowgauge.methods.perturbation.leave_one_out.ROWS", 4)
    for one, two in zip(whole, LeaveOneOut().explain(model, batch), strict=True):
        assert one.tokens == pytest.approx(two.tokens, abs=1e-12)


def test_moved_word_vectors_are_what_is_explained(model, batches):
    """As the sensitivity metric asks; with the vectors of other words, it is those words' explanation."""
    batch, other = batches(model, [6, 4]), batches(model, [6, 4], seed=5)
    moved = replace(batch, word_vectors=model.words(other).detach(), cache={})
    for made in (*ALL, LeaveOneOut("delete")):
        for one, two in zip(made.explain(model, moved), made.explain(model, other), strict=True):
            assert one.tokens == pytest.approx(two.tokens, abs=1e-12), made


def test_lime_without_a_penalty_is_a_linear_fit_and_with_one_is_sparse(model, batches):
    batch = batches(model, [4])
    _, exact = q_of(model, batch)
    (plain,), (strict,) = (removal.Lime(500, alpha=a).explain(model, batch) for a in (0.0, 100.0))
    assert np.corrcoef(plain.tokens, exact)[0, 1] > 0.9
    assert (strict.tokens == 0).all()


def test_lime_does_not_depend_on_the_unit_of_q(model, batches, monkeypatch):
    """As with small probabilities: a penalty in units of q would leave nothing of them."""
    batch = batches(model, [6])
    (whole,) = removal.Lime(50).explain(model, batch)
    monkeypatch.setattr("flowgauge.methods.perturbation.captum_words.value", lambda outputs, rows: 1e-5 * value(outputs, rows))
    (small,) = removal.Lime(50).explain(model, batch)
    assert np.abs(whole.tokens).max() > 1e-3
    assert small.tokens == pytest.approx(1e-5 * whole.tokens, rel=1e-3, abs=1e-9)


def test_lime_of_a_q_that_never_moves_is_0(model, batches, monkeypatch):
    monkeypatch.setattr(
        "flowgauge.methods.perturbation.captum_words.value", lambda outputs, rows: torch.ones(len(rows), dtype=torch.float64)
    )
    (found,) = removal.Lime(10).explain(model, batches(model, [4]))
    assert (found.tokens == 0).all()


def test_a_word_that_is_the_baseline_matters_to_none_that_removes(model, batches):
    batch = batches(model, [6])
    gap = int(batch.target[0])
    assert LeaveOneOut().explain(model, batch)[0].tokens[gap] == pytest.approx(0, abs=1e-12)
    assert abs(removal.ShapleySampling(4).explain(model, batch)[0].tokens[gap]) < 1e-12


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: gradients.Saliency("l3"), "norm must be"), (lambda: LeaveOneOut("cut"), "mean or delete"),
        (lambda: removal.ShapleySampling(0), "samples must be at least 1"),
        (lambda: removal.Lime(1), "at least 2"), (lambda: removal.Lime(width=0.0), "width must be above 0"),
        (lambda: removal.KernelShap(2), "at least 3"),
    ],
)  # fmt: skip
def test_refused_settings(make, said):
    with pytest.raises(UsageError, match=said):
        make()
