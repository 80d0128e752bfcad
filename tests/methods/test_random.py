"""The control depends on the seed of the instance alone; its pairs are reversals, and each draw is uniform by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from flowgauge.core.errors import UsageError
from flowgauge.methods.random import Random
from flowgauge.methods.registry import METHODS
from flowgauge.methods.views import head_scores


def drawn(draws, sizes=(5,), first=0, layers=2, heads=3):
    """The draws of instances of these sizes, with the seeds from `first` on."""
    batch: Any = SimpleNamespace(seeds=tuple(range(first, first + len(sizes))), lengths=list(sizes))
    model: Any = SimpleNamespace(n_layers=layers, n_heads=heads)
    return [explanation.draws for explanation in Random(draws).explain(model, batch)]


def ranks(scores):
    return np.argsort(np.argsort(scores, axis=-1), axis=-1)


def test_random_depends_on_the_seed_of_the_instance_alone(model, batch, single):
    for draws, count in ((3, 3), ("pairs:2", 4)):
        together = Random(draws).explain(model, batch)
        (own,) = Random(draws).explain(model, single(batch, 1))
        assert len(own.draws) == count
        assert (own.draws[2].nodes == together[1].draws[2].nodes).all()
        assert not (together[0].draws[0].nodes[:, :4] == together[2].draws[0].nodes).all()


def test_independent_draws_are_those_of_earlier_versions():
    rng = np.random.default_rng(7)
    nodes, units = rng.random((2, 3, 5), dtype=np.float32), rng.random((2, 2, 5, 4), dtype=np.float32)
    tokens = rng.random((2, 5), dtype=np.float32)
    ((*draws,),) = drawn(2, first=7)
    for draw, (t, h, u) in zip(draws, zip(tokens, nodes, units, strict=True), strict=True):
        assert (draw.tokens == t).all() and (draw.nodes == h).all() and (draw.units == u).all()


def test_every_second_draw_of_pairs_ranks_in_the_opposite_order():
    ((*draws,),) = drawn("pairs:3", sizes=(9,))
    assert len(draws) == 6
    for first, other in zip(draws[::2], draws[1::2], strict=True):
        assert (ranks(first.tokens) + ranks(other.tokens) == 8).all()
        assert (ranks(first.nodes) + ranks(other.nodes) == 8).all()
        assert (ranks(head_scores(first).ravel()) + ranks(head_scores(other).ravel()) == 5).all()
        assert not np.allclose(first.nodes + other.nodes, 1), "the mean of a pair would be a constant"
    assert (ranks(draws[0].tokens) != ranks(draws[2].tokens)).any()


def test_a_reversal_is_uniform_and_independent_by_itself():
    other = [draws[1] for draws in drawn("pairs:1", sizes=(4,) * 3000)]
    for view in ("tokens", "nodes", "units"):
        scores = np.array([getattr(draw, view) for draw in other]).reshape(3000, -1)
        assert kstest(scores.ravel(), "uniform").pvalue > 1e-3
        correlation = np.corrcoef(scores.T)[np.triu_indices(scores.shape[1], 1)]
        assert chi2.sf(3000 * (correlation**2).sum(), len(correlation)) > 1e-3
    orders = np.unique(ranks(np.array([draw.tokens for draw in other])), axis=0, return_counts=True)[1]
    assert len(orders) == 24 and chi2.sf(((orders - 125) ** 2 / 125).sum(), 23) > 1e-3


def test_pairs_estimate_the_same_mean_with_less_variance():
    gains = np.array([0.0, 0.1, 0.4, 1.0, 1.0])  # a curve over the number of words: what the first of them are worth together

    def areas(draws, first):
        worth = np.array([2.0, 0.5, 0.2, 0.1, 0.0])
        of_draw = lambda d: np.cumsum(worth[np.argsort(-d.tokens)]).mean() + gains[np.argmax(d.tokens)]  # noqa: E731
        return np.array([np.mean([of_draw(d) for d in of_one]) for of_one in drawn(draws, (5,) * 2000, first)])

    pairs, independent = areas("pairs:1", 0), areas(2, 10_000)
    error = np.sqrt((pairs.var() + independent.var()) / 2000)
    assert abs(pairs.mean() - independent.mean()) < 4 * error
    assert pairs.var() < 0.7 * independent.var()


def test_settings():
    assert METHODS.create("random:draws=pairs:3") == Random("pairs:3")
    assert METHODS.create("random") == Random("pairs:2")
    for wrong in ("pairs:0", "pairs", "pairs:x", 0, 2.5):
        with pytest.raises(UsageError, match="draws must"):
            Random(wrong)  # type: ignore[arg-type]
