"""Sign flips: against SciPy and by enumeration, their level, their power, and what the upper bound may be."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import permutation_test
from tests.conftest import FULL_SIZE

from flowgauge.metrics.statistics import sign_flips as module
from flowgauge.metrics.statistics.multiplicity import holm
from flowgauge.metrics.statistics.sign_flips import flips_for, pair_gaps, sign_flips
from flowgauge.metrics.statistics.units import Units


def p_values(gaps: np.ndarray, strata: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
    """Of rows of differences: each is a method, against one that scores 0."""
    rows, count = gaps.shape
    units = Units(
        np.concatenate([gaps, np.zeros((1, count))]), np.ones(count), np.zeros(count, int) if strata is None else strata
    )
    return sign_flips(units, np.stack([np.arange(rows), np.full(rows, rows)], 1), seed)


@pytest.fixture
def few_flips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for the level of 0.05, of any number of pairs."""
    monkeypatch.setattr(module, "flips_for", lambda pairs: 9999)


def every_pair(methods: int) -> np.ndarray:
    return np.array(list(combinations(range(methods), 2)))


def enumerated(gap: np.ndarray, strata: np.ndarray) -> float:
    """By the formula, of all patterns; without any variance a larger sum is more extreme."""
    signs = np.array(list(product((1, -1), repeat=len(gap))))
    total, variance = signs @ gap, np.zeros(len(signs))
    for stratum, size in enumerate(np.bincount(strata)):
        part = gap[strata == stratum]
        variance += size / (size - 1) * ((part**2).sum() - (signs[:, strata == stratum] @ part) ** 2 / size)
    variance[variance < 1e-12] = 0
    if not variance[0]:
        return float(((variance == 0) & (np.abs(total) >= abs(total[0]) - 1e-9)).mean())
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(np.abs(total) < 1e-9, 0, np.abs(total) / np.sqrt(variance))
    return float((t >= t[0] - 1e-9).mean())


@pytest.mark.parametrize("kind", ["normal", "ties", "equal", "equal in each stratum"])
@pytest.mark.parametrize("of_strata", [1, 2])
def test_of_few_units_all_patterns_are_taken(kind, of_strata) -> None:
    rng = np.random.default_rng(1)
    for count in (4, 7, 11):
        strata = np.sort(np.arange(count) % of_strata)
        gap = {
            "normal": rng.normal(0.5, 1, count),
            "ties": rng.integers(-1, 3, count).astype(float),
            "equal": np.full(count, 0.1),
            "equal in each stratum": np.where(strata == 0, 0.3, -0.1),
        }[kind]
        base = rng.random(count)  # so that differences are rounded
        units = Units(np.stack([gap + base, base]), np.ones(count), strata)
        (p,) = sign_flips(units, np.array([[0, 1]]))
        assert p == pytest.approx(enumerated(gap, strata), abs=1e-12)
        bound = module._upper_bounds(module._observe(units, np.array([[0, 1]])))
        assert bound[0] >= p - 1e-12


@pytest.mark.parametrize("kind", ["normal", "ties", "much in common"])
@pytest.mark.parametrize("of_strata", [1, 3, 7])
def test_of_many_units_as_many_flips_are_extreme_as_when_all_are_looked_at(few_flips, kind, of_strata) -> None:
    """The norms of two methods under a flip decide most flips; here each is decided by T itself."""
    rng, strata = np.random.default_rng(2), np.arange(35) % of_strata
    values = {
        "normal": rng.normal(size=(9, 35)),
        "ties": rng.integers(0, 3, (9, 35)).astype(float),
        "much in common": 100 * rng.normal(size=35) + rng.normal(size=(9, 35)),
    }[kind]
    signs = np.concatenate(list(module._random_signs(35, 9999, module.CHUNK, 0)), 1)
    by_stratum, pairs = np.argsort(strata, kind="stable"), every_pair(9)
    p = sign_flips(Units(values, np.ones(35), strata), pairs)
    for (first, second), found in zip(pairs, p, strict=True):
        gap = (values[first] - values[second])[by_stratum]
        patterns = np.concatenate([np.ones((35, 1)), signs], 1) * gap[:, None]
        variance = np.zeros(patterns.shape[1])
        for stratum, size in enumerate(np.bincount(strata)):
            part = patterns[strata[by_stratum] == stratum]
            variance += size / (size - 1) * ((part**2).sum(0) - part.sum(0) ** 2 / size) + module.FLOOR * size / (size - 1) * (
                (part**2).sum(0)
            )
        t = np.abs(patterns.sum(0)) / np.sqrt(variance)
        assert found == np.count_nonzero(t >= t[0] * (1 - 1e-9)) / 10_000 or not t[0]


def test_within_one_stratum_it_is_scipys() -> None:
    gap = np.random.default_rng(5).normal(0.4, 1, 40)
    mean = lambda x, y, axis: (x - y).mean(axis)  # noqa: E731
    exact = permutation_test((gap[:9], np.zeros(9)), mean, permutation_type="samples", n_resamples=np.inf, vectorized=True)
    assert p_values(gap[None, :9])[0] == pytest.approx(exact.pvalue, abs=1e-12)
    drawn = permutation_test((gap, np.zeros(40)), mean, permutation_type="samples", n_resamples=9999, vectorized=True,
                             rng=np.random.default_rng(1))  # fmt: skip
    assert p_values(gap[None])[0] == pytest.approx(drawn.pvalue, abs=0.02)


def test_no_difference_equal_differences_and_too_few_units() -> None:
    p = p_values(np.stack([np.zeros(12), np.full(12, 0.1), np.tile([1.0, -1.0], 6), np.full(12, 1e-20)]))
    assert p.tolist() == [1, 2 / 2**12, 1, 1], "what is rounding beside the other scores is no difference"
    noise = np.random.default_rng(0).random(12)
    assert sign_flips(Units(np.stack([noise, noise * (1 + 1e-15)]), np.ones(12), np.zeros(12, int)), np.array([[0, 1]])) == [1]
    assert np.isnan(p_values(np.ones((2, 1)))).all()


@pytest.mark.parametrize(
    ("draw", "count", "most"),
    [("normal", 16, 0.06), ("normal", 64, 0.06), ("ties", 64, 0.06), ("skewed", 16, 0.10), ("skewed", 64, 0.075)],
)
def test_the_level_holds_for_symmetric_differences_and_is_known_for_skewed_ones(few_flips, draw, count, most) -> None:
    rng = np.random.default_rng(count)
    drawn = {
        "normal": lambda size: rng.normal(size=size),
        "ties": lambda size: rng.integers(-1, 2, size).astype(float),
        "skewed": lambda size: rng.exponential(size=size) - 1,
    }[draw]
    p = p_values(drawn((1000, count)), np.arange(count) % 4)
    assert 0.03 < (p < 0.05).mean() <= most
    if draw == "normal":
        assert p.mean() == pytest.approx(0.5, abs=0.03)


def test_conditions_that_differ_do_not_hide_a_difference(few_flips) -> None:
    """Differences of +-1 in two conditions and .2 more in both: 74 % against 3 % when conditions count as noise."""
    strata = np.arange(64) % 2
    gaps = 0.6 * np.random.default_rng(3).normal(size=(400, 64)) + np.where(strata == 0, 1, -1) + 0.2
    assert (p_values(gaps, strata) < 0.05).mean() == pytest.approx(0.74, abs=0.05)
    assert (p_values(gaps) < 0.05).mean() < 0.15


def test_forty_methods_far_apart_are_all_separated() -> None:
    values = np.random.default_rng(4).normal(size=(40, 64)) + 5 * np.arange(40)[:, None]
    p = sign_flips(Units(values, np.ones(64), np.arange(64) % 4), every_pair(40))
    assert (holm(p) < 0.05).all() and (p > 0).all()


def test_forty_equal_methods_are_rarely_separated() -> None:
    """In at most 5 % of boards is any pair; `FLOWGAUGE_FULL_TESTS=1` draws 200 of them."""
    boards = 200 if FULL_SIZE else 4
    false = 0
    for seed in range(boards):
        values = np.random.default_rng(seed).normal(size=(40, 64))
        false += bool((holm(sign_flips(Units(values, np.ones(64), np.arange(64) % 4), every_pair(40))) < 0.05).any())
    assert false <= max(1, 0.05 * boards)


def test_many_pairs_take_many_flips_and_a_bound_is_not_below_the_truth() -> None:
    assert (flips_for(1), flips_for(60), flips_for(780)) == (9999, 12000, 156000)
    gaps = np.random.default_rng(6).normal(0.5, 1, (1, 30))
    strata = np.arange(30) % 3
    bound = module._upper_bounds(
        module._observe(Units(np.concatenate([gaps, 0 * gaps]), np.ones(30), strata), np.array([[0, 1]]))
    )
    (p,) = p_values(gaps, strata)
    assert p < bound[0] < 100 * p
    (far,) = p_values(gaps[:, :].repeat(3, 1) + 2, np.arange(90) % 3)
    assert 0 < far < 1e-9, "settled by the bound: 9,999 flips give 1e-4 at least"


def test_equal_seeds_give_equal_p_values() -> None:
    gaps = np.random.default_rng(7).normal(0.3, 1, (3, 40))
    assert p_values(gaps).tolist() == p_values(gaps).tolist() != p_values(gaps, seed=1).tolist()


def test_gaps_of_rounding_are_no_gaps() -> None:
    units = Units(np.array([[0.1 + 0.2, 1.0], [0.3, 0.5]]), np.ones(2), np.zeros(2, int))
    assert pair_gaps(units, np.array([[0, 1]])).sums.tolist() == [[0, 0.5]]
