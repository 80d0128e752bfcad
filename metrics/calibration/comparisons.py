"""Level, power and family-wise errors of paired tests, and how often corrected intervals and ranks hold, by simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from jaxtyping import Bool, Float

from ..statistics.differences import PairedDifferences, paired_differences
from ..statistics.intervals import LEVEL
from ..statistics.ordering import RankedSample, overall_order, rank_bounds, ranks_of
from ..statistics.sign_flips import ALPHA, sign_flips
from ..statistics.units import Units, strata_of
from .coverage import Found, Simulate, Simulation, Sizes

MANY = 40
"""Methods of the tables that a correction over all pairs is hardest for."""


def settings(methods: int) -> Iterator[Simulation]:
    """Every setting of which tests, corrected intervals and ranks are simulated.

    Args:
        methods: Of a table, for the names.
    """
    for name, draw in {
        "normal differences": lambda rng, size: rng.normal(size=size),
        "differences with heavy tails (t3)": lambda rng, size: rng.standard_t(3, size),
        "differences of 0/1 scores": lambda rng, size: rng.integers(-1, 2, size).astype(float),
        "skewed differences (exponential)": lambda rng, size: rng.exponential(size=size) - 1,
    }.items():
        yield Simulation("level", name, ALPHA, _rejected(draw))
    yield Simulation("level", "opposite signs in 4 conditions", ALPHA, _rejected_in_conditions(0.0))
    for gap in (0.2, 0.5):
        yield Simulation("power", f"{gap} standard deviations", np.nan, _rejected(partial(_normal, gap=gap), part=8))
    yield Simulation("power", "0.2, opposite signs in 4 conditions", np.nan, _rejected_in_conditions(0.2, part=8))
    yield Simulation("false pair", f"{methods} equal methods", ALPHA, _false_pairs(0))
    yield Simulation("false pair", f"{MANY} equal methods", ALPHA, _false_pairs(MANY))
    yield Simulation("false pair", "8 equal methods over 6 tables", ALPHA, _false_pairs_over_tables)
    yield Simulation("separated", f"{MANY} methods, 5 standard deviations apart", 1.0, _far_apart)
    yield Simulation("coverage", f"each corrected interval, {methods} methods", LEVEL, _corrected(at_once=False))
    yield Simulation("coverage", f"all corrected intervals at once, {methods} methods", np.nan, _corrected(at_once=True))
    yield Simulation("coverage", f"all ranks at once, {methods} methods", LEVEL, _ranks)
    yield Simulation("coverage", "mean ranks of 8 methods over 6 tables", LEVEL, _mean_ranks)


def _normal(rng: np.random.Generator, size: tuple[int, int], gap: float) -> Float[np.ndarray, "samples instances"]:
    return rng.normal(gap, size=size)


def _rejected(draw: Callable[[np.random.Generator, tuple[int, int]], np.ndarray], part: int = 2) -> Simulate:
    """The test of two methods, on one part of the samples: half of them, and fewer where many small p-values take time."""

    def simulate(rng: np.random.Generator, sizes: Sizes) -> Found:
        gaps = draw(rng, (max(sizes.samples // part, 1), sizes.instances))
        return Found(_p_values(gaps, np.arange(sizes.instances) % sizes.conditions) < ALPHA)

    return simulate


def _rejected_in_conditions(gap: float, part: int = 2) -> Simulate:
    """A method is better in two conditions and worse in two, with half a standard deviation of noise."""

    def simulate(rng: np.random.Generator, sizes: Sizes) -> Found:
        condition = np.arange(sizes.instances) % 4
        against = np.where(condition % 2, -1.0, 1.0)
        noise = rng.normal(size=(max(sizes.samples // part, 1), sizes.instances)) / 2
        return Found(_p_values(against - against.mean() + noise + gap, condition) < ALPHA)

    return simulate


def _p_values(gaps: Float[np.ndarray, "samples instances"], conditions: np.ndarray) -> Float[np.ndarray, " samples"]:
    """Each sample is a method, against one that scores 0."""
    values = np.concatenate([gaps, np.zeros((1, gaps.shape[1]))])
    return sign_flips(_units(values, conditions), np.stack([np.arange(len(gaps)), np.full(len(gaps), len(gaps))], 1))


def _false_pairs(methods: int) -> Simulate:
    """Tables of equal methods; 0: as many as a table has."""

    def simulate(rng: np.random.Generator, sizes: Sizes) -> Found:
        shape = (methods or sizes.methods, sizes.instances)
        tables = max(sizes.samples * 15 // (10 * max(shape[0], 15)), 2)
        return Found(np.array([_tested(rng, shape, sizes).separated.any() for _ in range(tables)]))

    return simulate


def _far_apart(rng: np.random.Generator, sizes: Sizes) -> Found:
    return Found(_tested(rng, (MANY, sizes.instances), sizes, 5 * np.arange(MANY)).separated)


def _tested(rng: np.random.Generator, shape: tuple[int, int], sizes: Sizes, truth: np.ndarray | float = 0.0) -> PairedDifferences:
    return paired_differences(_table(rng, shape, sizes, truth))


def _table(rng: np.random.Generator, shape: tuple[int, int], sizes: Sizes, truth: np.ndarray | float) -> Units:
    """Scores of methods that share what is hard about an instance."""
    values = rng.normal(size=shape) + rng.normal(size=shape[1]) + np.broadcast_to(truth, shape[0])[:, None]
    return _units(values, np.arange(shape[1]) % sizes.conditions)


def _units(values: Float[np.ndarray, "methods instances"], conditions: np.ndarray) -> Units:
    return Units(values, np.ones(values.shape[1]), strata_of(conditions.astype(str)))


def _pairs_of_equals(methods: int) -> Float[np.ndarray, " methods"]:
    """True means of methods of which each is as good as one other, and half a standard deviation better than the next."""
    return (np.arange(methods) // 2) * 0.5


def _corrected(at_once: bool) -> Simulate:
    """Intervals of differences at the level of Holm's procedure, each by itself or all of a table at once."""

    def simulate(rng: np.random.Generator, sizes: Sizes) -> Found:
        truth, held, widths = _pairs_of_equals(sizes.methods), [], []
        for _ in range(max(sizes.samples // 20, 2)):
            tested = paired_differences(_table(rng, (sizes.methods, sizes.instances), sizes, truth))
            gap = truth[tested.first] - truth[tested.second]
            held.append((tested.low_corrected <= gap) & (gap <= tested.high_corrected))
            widths.append(tested.high_corrected - tested.low_corrected)
        tables = np.array(held)
        return Found(np.asarray(tables.all(1)) if at_once else tables.ravel(), np.concatenate(widths))

    return simulate


def _ranks(rng: np.random.Generator, sizes: Sizes) -> Found:
    """Whether the bounds of all ranks of a table hold the true ranks."""
    truth, held, widths = _pairs_of_equals(sizes.methods), [], []
    best, worst = 1 + (truth > truth[:, None]).sum(1), (truth >= truth[:, None]).sum(1)
    for _ in range(max(sizes.samples // 20, 2)):
        units = _table(rng, (sizes.methods, sizes.instances), sizes, truth)
        tested = paired_differences(units)
        separated = _matrix(tested.first, tested.second, tested.separated, sizes.methods)
        low, high = rank_bounds(ranks_of(units.sums.mean(1), True), separated)
        held.append(bool(((low <= best) & (worst <= high)).all()))
        widths.append(high - low)
    return Found(np.array(held), np.concatenate(widths))


def _matrix(first: np.ndarray, second: np.ndarray, separated: np.ndarray, methods: int) -> Bool[np.ndarray, "methods methods"]:
    matrix = np.zeros((methods, methods), bool)
    matrix[first[separated], second[separated]] = matrix[second[separated], first[separated]] = True
    return matrix


def _boards(rng: np.random.Generator, sizes: Sizes, truth: np.ndarray, boards: int) -> Iterator[list[RankedSample]]:
    """Three tasks of two tables each, which share what is hard about an instance."""
    condition, shape = np.arange(sizes.instances) % sizes.conditions, (len(truth), sizes.instances)
    for _ in range(boards):
        scores = [rng.normal(size=shape) + rng.normal(size=sizes.instances) + truth[:, None] for _ in range(3)]
        yield [
            RankedSample(_units(of_task + 0.7 * rng.normal(size=shape), condition), str(task))
            for task, of_task in enumerate(scores)
            for _ in range(2)
        ]


def _false_pairs_over_tables(rng: np.random.Generator, sizes: Sizes) -> Found:
    boards = _boards(rng, sizes, np.zeros(8), max(sizes.samples // 20, 2))
    return Found(np.array([overall_order(board, resamples=200).separated.any() for board in boards]))


def _mean_ranks(rng: np.random.Generator, sizes: Sizes) -> Found:
    """Whether intervals hold the mean rank that so many instances give on average."""
    orders = [
        overall_order(board, resamples=1000)
        for board in _boards(rng, sizes, _pairs_of_equals(8) / 2, max(sizes.samples // 40, 2))
    ]
    rank, low, high = (np.array([getattr(order, name) for order in orders]) for name in ("rank", "low", "high"))
    there, truth = ~np.isnan(low), rank.mean(0)
    return Found(
        ((low <= truth) & (truth <= high))[there],
        (high - low)[there],
        1 - float(there.mean()),
        "" if there.all() else "one rank in all resamples",
    )
