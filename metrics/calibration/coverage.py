"""Coverage of intervals in simulations with known truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ...methods.explanation import Explanation
from ...tasks.instance import Instance
from ..heads.head_universality import HeadUniversality
from ..patterns.pattern_cases import ratio_of_sums
from ..patterns.pattern_entropy import binary_entropy, entropy_aggregates
from ..scores import Aggregate, ExplainedCell, without_interval
from ..statistics.intervals import LEVEL, Bounds, mean_intervals
from ..summary import RATIO_NEEDS, summarise_sums

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
DrawOne = Callable[[np.random.Generator, "Sizes"], Aggregate]
Simulate = Callable[[np.random.Generator, "Sizes"], "Found"]


class Sizes(NamedTuple):
    """The numbers of a simulation.

    Attributes:
        instances: Of a sample.
        conditions: Of equal size, up to one instance.
        methods: Of a table.
        samples: For the coverage of a mean; what takes longer has a share of them.
    """

    instances: int = 64
    conditions: int = 1
    methods: int = 15
    samples: int = 2000


class Calibration(NamedTuple):
    """What a simulation found.

    Attributes:
        what: `coverage` of intervals, `level` or `power` of the paired test, `false pair` in a table of equal methods, or
            `separated` pairs of methods that differ.
        setting: How scores were drawn.
        instances: How many.
        promised: What the share should be; of levels and false pairs the most that it should be. NaN where nothing is promised.
        actual: The share of the samples; NaN where none had an interval.
        low, high: Its 95 % interval, for so many samples.
        width: Mean width of the intervals; NaN where there is none.
        without: Share of samples without an interval.
        reason: Why the first of these has none.
    """

    what: str
    setting: str
    instances: int
    promised: float
    actual: float
    low: float
    high: float
    width: float = np.nan
    without: float = 0.0
    reason: str = ""


class Simulation(NamedTuple):
    """One line of the table: its name and what simulates it."""

    what: str
    name: str
    promised: float
    simulate: Simulate

    def calibrate(self, sizes: Sizes, seed: int) -> Calibration:
        """Simulates with a generator of its own, so that a line does not depend on those before it."""
        found = self.simulate(np.random.default_rng(seed), sizes)
        share = (np.nan,) * 3
        if len(found.held):
            every = found.held[None].astype(float)
            share = tuple(mean_intervals(every, np.zeros(len(found.held)), bounds=(0, 1))[0].tolist())
        widths = found.width[np.isfinite(found.width)]
        return Calibration(
            self.what, self.name, sizes.instances, self.promised, *share,
            float(widths.mean()) if len(widths) else np.nan, found.without, found.reason,
        )  # fmt: skip


class Found(NamedTuple):
    """Whether each sample held what is asked, of those that had an interval; and the widths of the intervals."""

    held: Bool[np.ndarray, " samples"]
    width: Float[np.ndarray, " intervals"] = np.zeros(0)
    without: float = 0.0
    reason: str = ""


def held_by(
    low: Float[np.ndarray, " samples"], high: Float[np.ndarray, " samples"], truth: float, reasons: Iterable[str] = ()
) -> Found:
    """Which intervals hold the truth.

    Args:
        low: One end of each; NaN where a sample has none.
        high: The other end.
        truth: The same of all.
        reasons: Why samples have no interval.
    """
    there = ~np.isnan(low)
    held = (low[there] <= truth + 1e-12) & (truth - 1e-12 <= high[there])
    reason = next((why for why, has in zip(reasons, there, strict=True) if not has), "") if not there.all() else ""
    return Found(held, (high - low)[there], 1 - float(there.mean()), reason)


def _areas(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Areas of curves that fall by ten steps, each instance at its own share."""
    below: np.ndarray = (rng.random((*size, 1)) < np.linspace(0.95, 0.05, 10)).mean(-1)
    return below


def _near_one(share: float) -> Draw:
    return lambda rng, size: np.where(rng.random(size) < share, rng.random(size), 1)


def _shares(p: float) -> Draw:
    return lambda rng, size: (rng.random(size) < p).astype(float)


SCORES: dict[str, tuple[Draw, float, float | None]] = {
    **{f"0 or 1, p = {p:g}": (_shares(p), p, 1) for p in (0.5, 0.9, 0.98, 1.0)},
    "areas of curves": (_areas, 0.5, 1),
    "beta(.2, 2)": (lambda rng, size: rng.beta(0.2, 2, size), 0.2 / 2.2, 1),
    "exponential": (lambda rng, size: rng.exponential(size=size), 1.0, None),
    "lognormal": (lambda rng, size: rng.lognormal(size=size), float(np.exp(0.5)), None),
    "10 % below 1": (_near_one(0.1), 0.95, 1),
    "2 % below 1": (_near_one(0.02), 0.99, 1),
}
"""Draws of scores with their true mean, and the largest possible score; the smallest is 0."""


def settings() -> Iterator[Simulation]:
    """Every setting of which intervals are simulated."""
    for name, (draw, truth, most) in SCORES.items():
        yield Simulation("coverage", name, LEVEL, _of_scores(draw, truth, most))
    for size in (2, 3, 4):
        yield Simulation("coverage", f"conditions of {size} that differ", LEVEL, _in_conditions(size))
        yield Simulation("coverage", f"0 or 1, conditions of {size} that differ", LEVEL, _in_conditions(size, shares=True))
    yield Simulation("coverage", "4 conditions that differ", LEVEL, _in_conditions(0))
    yield Simulation("coverage", "clusters of 4", LEVEL, _in_clusters)
    yield Simulation("coverage", "ratio of sums", LEVEL, _of_aggregates(_ratio(0.0), 0.3, 4))
    yield Simulation("coverage", "ratio of sums, skewed sizes", LEVEL, _of_aggregates(_ratio(0.8), 0.3, 4))
    for name, share in (("sparse", _SPARSE), ("dense", _DENSE)):
        yield Simulation("coverage", f"entropy, {name} patterns", LEVEL, _of_aggregates(*_entropy(share), 4))
    for r in (0.0, 0.8):
        yield Simulation("coverage", f"correlation of heads, r = {r:g}", LEVEL, _of_aggregates(_correlation(r), r, 16))


def of_means(
    values: Float[np.ndarray, "samples instances"],
    conditions: np.ndarray,
    truth: float,
    bounds: Bounds = (None, None),
    clusters: np.ndarray | None = None,
) -> Found:
    """Intervals of the means of samples, one a row."""
    _, low, high = mean_intervals(values, conditions.astype(str), clusters, bounds).T
    return held_by(low, high, truth, [without_interval(values.shape[1])] * len(values))


def _of_scores(draw: Draw, truth: float, most: float | None) -> Simulate:
    def simulate(rng: np.random.Generator, sizes: Sizes) -> Found:
        values = draw(rng, (sizes.samples, sizes.instances))
        return of_means(values, np.arange(sizes.instances) % sizes.conditions, truth, (0.0, most))

    return simulate


def _in_conditions(size: int, shares: bool = False) -> Simulate:
    """Conditions of `size` instances, of one more where these do not divide all; 0: four conditions."""

    def simulate(rng: np.random.Generator, sizes: Sizes) -> Found:
        condition = np.arange(sizes.instances) % max(sizes.instances // size if size else 4, 1)
        shape = (sizes.samples, sizes.instances)
        if shares:
            center = rng.beta(2, 1, condition.max() + 1)[condition]
            return of_means((rng.random(shape) < center).astype(float), condition, float(center.mean()), (0.0, 1.0))
        center = rng.normal(size=condition.max() + 1)[condition]
        return of_means(center + rng.normal(size=shape), condition, float(center.mean()))

    return simulate


def _in_clusters(rng: np.random.Generator, sizes: Sizes) -> Found:
    clusters = np.arange(sizes.instances) // 4
    shared = rng.normal(size=(sizes.samples, clusters[-1] + 1))[:, clusters]
    values = shared + rng.normal(size=(sizes.samples, sizes.instances)) / 2
    return of_means(values, np.zeros(sizes.instances), 0.0, clusters=clusters.astype(str))


def _of_aggregates(draw: DrawOne, truth: float, part: int) -> Simulate:
    """One part of the samples, each with one aggregate of a metric."""

    def simulate(rng: np.random.Generator, sizes: Sizes) -> Found:
        drawn = [draw(rng, sizes) for _ in range(max(sizes.samples // part, 1))]
        low, high = np.array([[one.low, one.high] for one in drawn]).T
        return held_by(low, high, truth, [one.reason.rstrip(".") or without_interval(one.count) for one in drawn])

    return simulate


def _instances(sizes: Sizes) -> list[Instance]:
    return [Instance(str(n), ("a sentence",), ("",), condition=str(n % sizes.conditions)) for n in range(sizes.instances)]


def _ratio(spread: float) -> DrawOne:
    """Shares of edges that vary from instance to instance, of 13 edges or of lognormally many."""

    def draw(rng: np.random.Generator, sizes: Sizes) -> Aggregate:
        whole = rng.poisson(12 * rng.lognormal(0, spread, sizes.instances)) + 1
        features = np.stack([rng.binomial(whole, rng.beta(1.2, 2.8, sizes.instances)), whole], 1).astype(float)
        weights = features[:, 1]
        return summarise_sums(("x",), features, _instances(sizes), ratio_of_sums, needs=RATIO_NEEDS, weights=weights)[0]

    return draw


_SPARSE = np.random.default_rng(0).beta(0.3, 3, 104) * (np.random.default_rng(1).random(104) < 0.3)
_DENSE = np.random.default_rng(2).random(40)
"""Shares of the instances whose pattern has a node, of each node."""


def _entropy(share: Float[np.ndarray, " nodes"]) -> tuple[DrawOne, float]:
    def draw(rng: np.random.Generator, sizes: Sizes) -> Aggregate:
        return entropy_aggregates("x", rng.random((sizes.instances, len(share))) < share, _instances(sizes))[0]

    return draw, float(binary_entropy(share).mean())


def _correlation(r: float) -> DrawOne:
    """Twelve heads, whose scores vary as much from instance to instance as from head to head."""
    basis = np.linalg.qr(np.c_[np.ones(12), np.random.default_rng(3).normal(size=(12, 2))])[0].T[1:] * np.sqrt(12)
    means = (basis[0], r * basis[0] + np.sqrt(1 - r**2) * basis[1])

    def draw(rng: np.random.Generator, sizes: Sizes) -> Aggregate:
        names, conditions = zip(*((one.id, one.condition) for one in _instances(sizes)), strict=True)
        cells = []
        for mean in means:
            heads = (mean + rng.gamma(2, 1, (sizes.instances, 12)) / np.sqrt(2)).reshape(-1, 3, 4)
            cells.append(ExplainedCell(names, conditions, [Explanation(heads=h) for h in heads]))
        return HeadUniversality().compare(*cells)[0]

    return draw
