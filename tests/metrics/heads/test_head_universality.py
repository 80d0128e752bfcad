"""Pearson's r of head importance against scipy, and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.heads.head_universality import CONSTANT, HeadUniversality, correlation
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
    one, other = cell(noisy(means[0], 12, 1.0, 1)), cell(noisy(means[1], 9, 1.0, 2), "b")
    sizes = [np.mean([e.heads for e in c.gold], 0) for c in (one, other)]
    r, within = HeadUniversality().compare(one, other)
    assert r.variant == "pearson" and r.count == 21
    assert r.value == pytest.approx(pearsonr(*(s.ravel() for s in sizes)).statistic, abs=1e-12)
    assert within.variant == "pearson/within-layers"
    centred = [(s - s.mean(1, keepdims=True)).ravel() for s in sizes]
    assert within.value == pytest.approx(pearsonr(*centred).statistic, abs=1e-12)
    back = HeadUniversality().compare(other, one)[0]
    assert back.value == pytest.approx(r.value, abs=1e-12)
    assert (back.low, back.high) == pytest.approx((r.low, r.high), abs=0.05)  # other resamples


def test_the_interval_is_that_of_resampling_both_cells(means):
    one, other = noisy(means[0], 30, 1.5, 1), noisy(means[1], 20, 1.5, 2)
    found = HeadUniversality().compare(cell(one), cell(other, "b"))[0]
    rng = np.random.default_rng(5)
    halves = [[np.arange(start, len(s), 2) for start in (0, 1)] for s in (one, other)]  # conditions take turns
    drawn = [
        [
            s[np.concatenate([rng.choice(h, len(h)) for h in half])].mean(0).ravel()
            for s, half in zip((one, other), halves, strict=True)
        ]
        for _ in range(2000)
    ]
    replicates = [pearsonr(*pair).statistic for pair in drawn]
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(np.subtract(*np.quantile(replicates, [0.975, 0.025])), rel=0.15)


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
