"""How far intervals and tests can be trusted: simulations with known truth at given numbers of instances and methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .differences import paired_differences
from .intervals import LEVEL, mean_intervals
from .sign_flips import ALPHA
from .units import Units, strata_of

SAMPLES = 2000
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


class Calibration(NamedTuple):
    """What a simulation found.

    Attributes:
        what: `coverage` of intervals, `level` or `power` of the paired test, `false pair` in a table of equal methods, or
            `separated` pairs of methods that differ.
        setting: How scores were drawn.
        nominal: What the share should be; NaN where nothing is promised.
        actual: The share of the samples; NaN where none had an interval.
        error: Its standard error.
        without: Share of samples without an interval.
    """

    what: str
    setting: str
    nominal: float
    actual: float
    error: float
    without: float = 0.0


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


def calibrate(
    instances: int = 64, conditions: int = 4, methods: int = 15, seed: int = 0, samples: int = SAMPLES
) -> Iterator[Calibration]:
    """Coverage of means, level and power of the paired test, and false pairs in tables of equal methods.

    Args:
        instances: Of a table.
        conditions: Of equal size, up to one instance.
        methods: Of a table.
        seed: Of the simulation.
        samples: For each coverage; tests take a quarter, tables of up to 15 methods a fortieth, larger ones fewer.

    Yields:
        One entry a setting, as soon as it is known.
    """
    names, rng = np.arange(instances) % conditions, np.random.default_rng(seed)
    yield from coverages(instances, conditions, seed, samples)
    yield from _tests(names, rng, samples // 4)
    yield from _tables(names, methods, rng, max(samples * 15 // (40 * max(methods, 15)), 2))


def coverages(instances: int = 64, conditions: int = 4, seed: int = 0, samples: int = SAMPLES) -> Iterator[Calibration]:
    """Coverage of the intervals of means.

    Args:
        instances: Of a sample.
        conditions: Of equal size, up to one instance.
        seed: Of the simulation.
        samples: How many.

    Yields:
        One entry a setting.
    """
    names = np.arange(instances) % conditions
    for setting, (draw, truth, most) in SCORES.items():
        values = draw(np.random.default_rng(seed), (samples, instances))
        yield _coverage(setting, values, names, np.full(samples, truth), (0.0, most))
    rng = np.random.default_rng(seed)
    center = rng.normal(size=conditions)[names]
    yield _coverage(
        "conditions that differ", center + rng.normal(size=(samples, instances)), names, np.full(samples, center.mean())
    )
    clusters = np.arange(instances) // 4
    shared = rng.normal(size=(samples, clusters[-1] + 1))[:, clusters] + rng.normal(size=(samples, instances)) / 2
    yield _coverage("clusters of 4", shared, np.zeros(instances), np.zeros(samples), clusters=clusters.astype(str))


def _coverage(
    setting: str,
    values: Float[np.ndarray, "samples instances"],
    conditions: np.ndarray,
    truth: Float[np.ndarray, " samples"],
    bounds: tuple[float | None, float | None] = (None, None),
    clusters: np.ndarray | None = None,
) -> Calibration:
    _, low, high = mean_intervals(values, conditions.astype(str), clusters, bounds).T
    there = ~np.isnan(low)
    held = (low[there] <= truth[there] + 1e-12) & (truth[there] - 1e-12 <= high[there])
    return _share("coverage", setting, LEVEL, held, 1 - float(there.mean()))


def _share(what: str, setting: str, nominal: float, found: np.ndarray, without: float = 0.0) -> Calibration:
    if not len(found):
        return Calibration(what, setting, nominal, np.nan, np.nan, without)
    actual = float(found.mean())
    return Calibration(what, setting, nominal, actual, float(np.sqrt(actual * (1 - actual) / len(found))), without)


def _tests(conditions: np.ndarray, rng: np.random.Generator, samples: int) -> Iterator[Calibration]:
    """Level and power of the paired test of two methods."""
    size, against = len(conditions), np.where(conditions % 2, -1.0, 1.0)
    against -= against.mean()
    settings: list[tuple[str, str, Callable[[], np.ndarray]]] = [
        ("level", "normal differences", lambda: rng.normal(size=size)),
        ("level", "differences of scores of 0 and 1", lambda: rng.integers(-1, 2, size).astype(float)),
        ("level", "skewed differences (exponential)", lambda: rng.exponential(size=size) - 1),
        ("level", "opposite signs in conditions", lambda: against + rng.normal(size=size) / 2),
        ("power", "0.2 standard deviations", lambda: rng.normal(size=size) + 0.2),
        ("power", "0.5 standard deviations", lambda: rng.normal(size=size) + 0.5),
        ("power", "0.2, opposite signs in conditions", lambda: against + rng.normal(size=size) / 2 + 0.2),
    ]
    for what, setting, draw in settings:
        p = [paired_differences(_units(np.stack([draw(), np.zeros(size)]), conditions)).p[0] for _ in range(samples)]
        yield _share(what, setting, ALPHA if what == "level" else np.nan, np.array(p) < ALPHA)


def _tables(conditions: np.ndarray, methods: int, rng: np.random.Generator, tables: int) -> Iterator[Calibration]:
    """Tables of equal methods, and one of methods that are 5 standard deviations apart."""
    size = (methods, len(conditions))
    equal = [
        paired_differences(_units(rng.normal(size=size) + rng.normal(size=size[1]), conditions)).separated.any()
        for _ in range(tables)
    ]
    yield _share("false pair", f"{methods} equal methods", ALPHA, np.array(equal))
    apart = paired_differences(_units(rng.normal(size=size) + 5 * np.arange(methods)[:, None], conditions))
    yield _share("separated", f"{methods} methods, 5 standard deviations apart", 1.0, apart.separated)


def _units(values: Float[np.ndarray, "methods instances"], conditions: np.ndarray) -> Units:
    return Units(values, np.ones(values.shape[1]), strata_of(conditions.astype(str)))
