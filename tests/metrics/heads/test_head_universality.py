"""Pearson's r of head importance against scipy, and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.heads.head_universality import CONSTANT, UNRELIABLE, HeadUniversality, correlation
from flowgauge.metrics.scores import ExplainedCell

SHAPE = (3, 4)


def cell(scores: np.ndarray, name: str = "a") -> ExplainedCell:
    names = tuple(f"{name}{n}" for n in range(len(scores)))
    return ExplainedCell(names, tuple("xy"[n % 2] for n in range(len(scores))), [Explanation(heads=s) for s in scores])


def noisy(mean: np.ndarray, count: int, spread: float, seed: int) -> np.ndarray:
    return mean + spread * np.random.default_rng(seed).normal(size=(count, *SHAPE))


@pytest.fixture
def means() -> tuple[np.ndarray, np.ndarray]:
    drawn = np.random.default_rng(0).normal(size=(2, *SHAPE))
    return drawn[0], drawn[0] + drawn[1]


def test_r_is_scipys(means):
    one, other = cell(noisy(means[0], 22, 1.0, 1)), cell(noisy(means[1], 19, 1.0, 2), "b")
    sizes = [np.mean([e.heads for e in c.gold], 0) for c in (one, other)]
    r, within = HeadUniversality().compare(one, other)
    assert r.variant == "pearson" and r.count == 41
    assert r.value == pytest.approx(pearsonr(*(s.ravel() for s in sizes)).statistic, abs=1e-12)
    assert within.variant == "pearson/within-layers"
    centred = [(s - s.mean(1, keepdims=True)).ravel() for s in sizes]
    assert within.value == pytest.approx(pearsonr(*centred).statistic, abs=1e-12)
    back = HeadUniversality().compare(other, one)[0]
    assert back.value == pytest.approx(r.value, abs=1e-12)
    assert (back.low, back.high, back.bias) == pytest.approx((r.low, r.high, r.bias), abs=1e-12)


def test_without_noise_the_value_has_no_bias():
    scores = np.random.default_rng(0).random(SHAPE)
    other = scores + np.random.default_rng(1).random(SHAPE)
    r = HeadUniversality().compare(cell(noisy(scores, 20, 1e-4, 1)), cell(noisy(other, 20, 1e-4, 2), "b"))[0]
    assert r.low < r.value < r.high and r.bias == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("truth", "count"), [(0.0, 16), (0.5, 64), (0.9, 64)])
def test_the_interval_covers_the_correlation_of_the_true_means(truth, count):
    """The noise of one score is twice what heads differ by (as much, of 16 instances): it brings r nearer to 0."""
    rng, hits, values = np.random.default_rng(3), 0, []
    x, y = np.linalg.qr(np.c_[np.ones(12), rng.normal(size=(12, 2))])[0].T[1:] * np.sqrt(12)
    y, spread = truth * x + np.sqrt(1 - truth**2) * y, 1.0 if count == 16 else 2.0
    for _ in range(150):
        scores = (m.reshape(SHAPE) + spread * (rng.gamma(2, 1, (count, *SHAPE)) - 2) / np.sqrt(2) for m in (x, y))
        r = HeadUniversality().compare(*(cell(s, name) for s, name in zip(scores, "ab", strict=True)))[0]
        hits += r.low <= truth <= r.high
        values.append(r.value)
    assert 0.91 <= hits / 150 <= 0.98
    assert np.mean(values) == pytest.approx(truth * 1 / (1 + spread**2 / count), abs=0.02)


def test_unreliable_or_few_scores_have_no_interval(means):
    few = HeadUniversality().compare(cell(noisy(means[0], 15, 0.1, 1)), cell(noisy(means[1], 20, 0.1, 2), "b"))[0]
    assert np.isnan(few.low) and few.reason == "an interval needs 16 instances a cell, and there are 15."
    unsure = HeadUniversality().compare(cell(noisy(means[0], 20, 0.1, 1)), cell(noisy(means[1], 20, 5.0, 2), "b"))[0]
    assert np.isnan(unsure.low) and unsure.reason == UNRELIABLE and unsure.bias is None


def test_ends():
    scores = np.random.default_rng(0).random((5, *SHAPE))
    assert HeadUniversality().compare(cell(scores), cell(3 * scores + 2, "b"))[0].value == pytest.approx(1)
    assert HeadUniversality().compare(cell(scores), cell(-scores, "b"))[0].value == pytest.approx(-1)


def test_what_is_not_defined():
    scores = np.random.default_rng(0).random((4, *SHAPE))
    flat = HeadUniversality().compare(cell(scores), cell(np.ones((4, *SHAPE)), "b"))[0]
    assert np.isnan(flat.value) and flat.reason == CONSTANT
    single = HeadUniversality().compare(cell(scores), cell(scores[:1], "b"))[0]
    assert single.value == pytest.approx(pearsonr(scores.mean(0).ravel(), scores[0].ravel()).statistic)
    assert np.isnan(single.low) and np.isnan(single.high)
    layers = np.repeat(np.arange(3.0)[:, None], 4, 1)[None].repeat(4, 0)
    whole, within = HeadUniversality().compare(cell(layers), cell(layers, "b"))
    assert whole.value == pytest.approx(1) and within.reason == CONSTANT
    with pytest.raises(NotApplicable, match="3 layers of 4 heads and 2 layers of 4 heads"):
        HeadUniversality().compare(cell(scores), cell(scores[:, :2], "b"))
    tokens = ExplainedCell(("a",), ("",), [Explanation(tokens=np.ones(4))])
    with pytest.raises(NotApplicable, match="from which heads cannot be ranked"):
        HeadUniversality().compare(tokens, tokens)
    with pytest.raises(ValueError, match="a condition an instance"):
        ExplainedCell(("a", "b"), ("",), [])


def test_many_at_once():
    x, y = np.random.default_rng(0).normal(size=(2, 5, 7))
    assert correlation(x, y)[:, 0] == pytest.approx([pearsonr(a, b).statistic for a, b in zip(x, y, strict=True)])
