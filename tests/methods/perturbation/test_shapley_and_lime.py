"""Shapley values, Kernel SHAP and LIME against exact sums and fits."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from tests.methods.perturbation.conftest import hf_q

from flowgauge.methods.perturbation import shapley_and_lime as removal
from flowgauge.models.baseline import baseline_words
from flowgauge.models.outputs import value


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
    (found,) = removal.ShapleySampling(500).explain(model, batch)
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
