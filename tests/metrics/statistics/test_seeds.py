"""Seeds as a second level of sampling: by hand, what must not matter, and coverage and level in simulations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from tests.conftest import FULL_SIZE

from flowgauge.metrics.statistics.differences import paired_differences
from flowgauge.metrics.statistics.intervals import mean_intervals, t_intervals, t_tests
from flowgauge.metrics.statistics.ordering import RankedSample, overall_order, resampled_means
from flowgauge.metrics.statistics.seeds import seed_variance, with_seeds
from flowgauge.metrics.statistics.sign_flips import pair_gaps, sign_flips
from flowgauge.metrics.statistics.units import Units, moments, sampling_units

CROSSED = np.array([[1.0, 2, 3, 6], [2, 4, 3, 7], [3, 3, 3, 11]])
"""Three seeds on four instances; means 3, 4 and 5."""
PLAIN = np.full(4, "x")


def test_a_crossed_table_by_hand() -> None:
    """Sums of squares: seeds 8 (2 degrees), instances 66 (3), the rest 10 (6); mean squares / 12 are variances."""
    variance, square = seed_variance(CROSSED, PLAIN)
    between, interaction = 8 / 2 / 12, 10 / 6 / 12
    assert variance == pytest.approx(between - interaction)
    units = with_seeds(sampling_units(CROSSED.mean(0)[None], PLAIN), {0: CROSSED}, PLAIN)
    known, of_instances = moments(units), 66 / 3 / 12
    assert known.variance == pytest.approx(of_instances + variance)
    assert known.freedom == pytest.approx(known.variance**2 / (of_instances**2 / 3 + square))
    assert square == pytest.approx(between**2 / 2 + interaction**2 / 6)
    alone = moments(units._replace(seeds=None))
    nearer = stats.t.ppf(0.975, 3) / stats.t.ppf(0.975, known.freedom)
    assert known.skewness * known.variance**1.5 == pytest.approx(alone.skewness * alone.variance**1.5 * nearer)


def test_degrees_of_freedom_are_those_of_the_seeds_or_more() -> None:
    """Instances that agree on average, and differ from seed to seed: what is taken off leaves less than the seeds' own part."""
    rng = np.random.default_rng(8)
    drawn = np.array([[0.0], [0.5], [1.0]]) + rng.normal(size=(3, 12))
    drawn[2] = 1.5 - drawn[0] - drawn[1] + 0.3 * rng.normal(size=12)
    units = with_seeds(sampling_units(drawn.mean(0)[None], np.full(12, "x")), {0: drawn}, np.full(12, "x"))
    assert units.seeds is not None and units.seeds.least.tolist() == [2]
    known = moments(units)
    assert known.variance**2 < 2 * units.seeds.square and known.freedom.tolist() == [2]


def test_the_variance_of_a_crossed_mean_is_unbiased() -> None:
    rng = np.random.default_rng(0)
    conditions = np.array(["a"] * 3 + ["b"] * 5 + ["c"] * 2)
    shift, means, variances = np.where(conditions == "a", 9.0, 0.0), list[float](), list[float]()
    for _ in range(800):
        own = 0.5 * rng.normal(size=(4, 1)) + 0.6 * rng.normal(size=(4, 10))
        drawn = shift + 0.7 * rng.normal(size=10) + own
        units = with_seeds(sampling_units(drawn.mean(0)[None], conditions), {0: drawn}, conditions)
        means.append(drawn.mean())
        variances.append(moments(units).variance[0])
    truth = 0.5**2 / 4 + 0.7**2 / 10 + 0.6**2 / 10 / 4
    assert np.mean(variances) == pytest.approx(truth, rel=0.05) and np.var(means) == pytest.approx(truth, rel=0.1)


def test_seeds_that_agree_are_one_seed() -> None:
    rng = np.random.default_rng(1)
    conditions = np.repeat(["x", "y"], 10)
    values = np.stack([rng.random(20), rng.random(20) < 0.8, np.ones(20)]).astype(float)
    repeated = {row: np.repeat(values[row : row + 1], 5, 0) for row in range(3)}
    once = mean_intervals(values, conditions, bounds=(0, 1))
    assert (mean_intervals(values, conditions, bounds=(0, 1), by_seed=repeated) == once).all()
    units = sampling_units(values, conditions)
    several = with_seeds(units, repeated, conditions)
    assert str(paired_differences(several)) == str(paired_differences(units))
    assert with_seeds(units, {0: values[:1]}, conditions) is units, "one seed adds nothing"


def test_shares_over_seeds_that_differ_have_no_wilson_interval() -> None:
    of_row = np.array([[1.0, 1, 1, 0, 1, np.nan], [1, 0, 1, 0, np.nan, 1]])
    of_row[:, 1] = np.nan, 0  # the means over seeds are 0 or 1
    conditions, mean = np.full(6, "x"), np.array([[1.0, 0, 1, 0, 1, 1]])
    shared = mean_intervals(mean, conditions, bounds=(0, 1), by_seed={0: of_row})
    assert shared == pytest.approx(mean_intervals(mean, conditions, bounds=(0, 1))), "the seeds agree wherever both have a score"
    of_row[:, [2, 3, 4, 5]] = [[1, 0, np.nan, np.nan], [np.nan, np.nan, 1, 1]]
    of_row[:, 0] = np.nan, 1
    ((_, low, high),) = mean_intervals(mean, conditions, bounds=(0, 1), by_seed={0: of_row})
    assert (low, high) == (0, 1), "means .5 and .75, of instances of their own"


def test_no_order_of_seeds_or_instances_matters() -> None:
    rng = np.random.default_rng(2)
    conditions = np.repeat(["x", "y", "z"], 4)
    of_row = rng.normal(size=(4, 12)) + rng.normal(size=(4, 1))
    seeds, instances = rng.permutation(4), rng.permutation(12)
    clusters = np.repeat(["p", "q", "r", "s", "t", "u"], 2)
    moved = of_row[seeds][:, instances]
    for of in (None, clusters):
        expected = seed_variance(of_row, conditions, of)
        assert seed_variance(moved, conditions[instances], None if of is None else of[instances]) == pytest.approx(expected)


def test_a_cluster_counts_once_and_copies_change_nothing() -> None:
    doubled = np.repeat(CROSSED, 2, 1)
    assert seed_variance(doubled, np.full(8, "x"), np.repeat(list("abcd"), 2)) == pytest.approx(seed_variance(CROSSED, PLAIN))


def test_instances_that_a_seed_lacks_do_not_count() -> None:
    nothing = np.full((1, 4), np.nan)
    units = sampling_units(CROSSED.mean(0)[None], PLAIN)
    more = with_seeds(units, {0: np.concatenate([CROSSED, nothing])}, PLAIN)
    assert str(more) == str(with_seeds(units, {0: CROSSED}, PLAIN))
    lacking = np.concatenate([CROSSED, [[9, np.nan], [np.nan, 9], [9, 9]]], 1)
    assert seed_variance(lacking, np.full(6, "x")) == pytest.approx(seed_variance(CROSSED, PLAIN))
    apart = np.array([[1.0, 3, np.nan, np.nan], [np.nan, np.nan, 5, 7]])  # means 2 and 6
    assert seed_variance(apart, PLAIN) == (4.0, 16.0)


def test_seeds_that_differ_in_single_instances_alone_add_nothing() -> None:
    draws = np.array([[0.0, 1, 0, 1], [1, 0, 1, 0]])
    variance, square = seed_variance(draws, PLAIN)
    assert (variance, square) == (0, 0)
    draws[0, 0] = 0.1
    assert seed_variance(draws, PLAIN)[0] == 0 < seed_variance(draws, PLAIN)[1]


CONDITIONS = np.array(["x", "y", "z"])[np.arange(300) % 3]


def trained(rng: np.random.Generator, samples: int, seeds: int, deviation: float = 0.02) -> list[np.ndarray]:
    """Scores by seed of a method on 300 instances, in every sample; its mean over seeds and instances is 0.

    Seeds and instances differ by themselves, and single instances from seed to seed.
    """
    size = (samples, seeds, 300)
    own = deviation * rng.normal(size=(samples, seeds, 1)) + 0.05 * rng.normal(size=size)
    return list(0.25 * rng.normal(size=(samples, 1, 300)) + own)


def units_of(rows: list[np.ndarray]) -> Units:
    return with_seeds(sampling_units(np.array([row.mean(0) for row in rows]), CONDITIONS), dict(enumerate(rows)), CONDITIONS)


@pytest.mark.parametrize(("seeds", "deviation", "least"), [
    (2, 0.02, 0.92), (3, 0.02, 0.92), (5, 0.02, 0.92), (2, 0.1, 0.86), (3, 0.1, 0.92), (5, 0.1, 0.92),
])  # fmt: skip
def test_intervals_of_means_over_seeds_cover(seeds: int, deviation: float, least: float) -> None:
    """In .92 to .97 of the samples, where those over instances alone do not; `FLOWGAUGE_FULL_TESTS=1` draws 16,000, else 300.

    Two seeds that differ much more than instances do look alike by chance too often.
    """
    samples = 16_000 if FULL_SIZE else 300
    units = units_of(trained(np.random.default_rng(seeds), samples, seeds, deviation))
    covered, alone = ((np.multiply(*t_intervals(moments(u))) <= 0).mean() for u in (units, units._replace(seeds=None)))
    print(f"{seeds} seeds of {deviation}: coverage {covered:.3f}, of instances alone {alone:.3f}")
    error = 2 * np.sqrt(0.05 * 0.95 / samples)
    assert least - error <= covered <= 0.97 + error and alone < covered - 0.02


@pytest.mark.parametrize(("seeds", "others"), [(3, 3), (5, 5), (3, 1), (5, 1)])
def test_the_paired_test_keeps_its_level_over_trainings(seeds: int, others: int) -> None:
    """Methods that are equal on average, of several seeds each, or one of them without training.

    `FLOWGAUGE_FULL_TESTS=1` draws 4000 samples, else 300. Signs are flipped where Student's t finds a difference.
    """
    samples, rng = 4000 if FULL_SIZE else 300, np.random.default_rng(10 * seeds + others)
    rows = [*trained(rng, samples, seeds), *trained(rng, samples, others, 0.02 if others > 1 else 0.0)]
    units, pairs = units_of(rows), np.stack([np.arange(samples), samples + np.arange(samples)], 1)
    p = t_tests(moments(pair_gaps(units, pairs)))
    alone = t_tests(moments(pair_gaps(units._replace(seeds=None), pairs)))
    for found in np.flatnonzero(p < 0.05):
        p[found] = max(p[found], *sign_flips(units._replace(sums=units.sums[pairs[found]]), np.array([[0, 1]])))
    print(f"{seeds} and {others} seeds: level {(p < 0.05).mean():.3f}, of instances alone {(alone < 0.05).mean():.3f}")
    assert (p < 0.05).mean() <= 0.06 + 2 * np.sqrt(0.05 * 0.95 / samples)
    assert (alone < 0.05).mean() > (p < 0.05).mean() + 0.02


def test_verdicts_intervals_and_needed_units_agree_where_seeds_add() -> None:
    rng = np.random.default_rng(5)
    rows = [shift + of_row for shift, of_row in zip((0.0, 0.02, 0.06, 0.1, 0.4), trained(rng, 5, 3, 0.04), strict=True)]
    units = units_of(rows)
    d, alone = paired_differences(units), paired_differences(units._replace(seeds=None))
    assert (d.p >= alone.p).all() and d.separated.sum() < alone.separated.sum() and d.separated.any()
    assert ((d.low_corrected > 0) | (d.high_corrected < 0) == d.separated).all()
    assert (d.high - d.low > alone.high - alone.low).all()
    assert (np.isnan(d.needed) == d.separated).all() and (d.needed[~d.separated] > 300).all()
    assert np.isinf(d.needed[~d.separated]).any(), "more instances do not help where seeds are too unsure"
    known = moments(pair_gaps(units, np.stack([d.first, d.second], 1)))
    assert d.p == pytest.approx(np.fmax(alone.p, t_tests(known)), rel=1e-6)


def test_ranks_are_less_sure_where_seeds_add() -> None:
    rows = [shift + of_row for shift, of_row in zip((0.0, 0.05, 0.1), trained(np.random.default_rng(6), 3, 4), strict=True)]
    units = units_of(rows)
    assert units.seeds is not None
    alone = units._replace(seeds=None)
    more = resampled_means(units).var(0) - resampled_means(alone).var(0)
    assert more == pytest.approx(units.seeds.variance, rel=0.2, abs=2e-5)
    better = resampled_means(units) - resampled_means(alone)
    assert resampled_means(units, higher_is_better=False) == pytest.approx(resampled_means(alone) - better)
    sure, unsure = (
        overall_order([RankedSample(of, "task"), RankedSample(of._replace(sums=-of.sums), "task", False)], 0, 1000)
        for of in (alone, units)
    )
    assert unsure.separated.sum() < sure.separated.sum()
    width, wider = (of.behind_high[:2] - of.behind_low[:2] for of in (sure, unsure))
    assert (wider > 1.05 * width).all() and np.isnan(unsure.behind_low[unsure.rank.argmin()])
    assert unsure.first.max() < sure.first.max()
