"""How far methods come from random explanations to those that know the answer, where a table has both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ...metrics.statistics.intervals import jackknife_intervals
from ...metrics.statistics.sign_flips import ALPHA, sign_flips
from ..stored.comparable_cells import ComparableCells
from ..stored.score_table import ScoreTable

CONTROLS = {"oracle": "random", "oracle-mask": "random-mask"}
"""Explanations that know the answer (`benchmark/plans/oracle.py`), each with the random ones that it is held against."""
NOISE = "noise"
"""The setting of an oracle that orders its explanations: the smaller, the better."""


class OracleShare(NamedTuple):
    """A method's share of the way from random explanations to an oracle's.

    Attributes:
        value: 0 as random explanations, 1 as the oracle; below or above where it is worse or better than these.
        low, high: Ends of its 95 % interval; NaN where there is none.
    """

    value: float
    low: float
    high: float


class OracleShares(NamedTuple):
    """The shares of a table.

    Attributes:
        oracle, control: Labels of the oracle with the least noise and of the random explanations; empty where there is none.
        of_method: By label; empty where the shares are undefined.
        reason: Why they are undefined, where the table has both.
    """

    oracle: str = ""
    control: str = ""
    of_method: Mapping[str, OracleShare] = MappingProxyType({})
    reason: str = ""


def oracle_shares(group: ComparableCells, scores: ScoreTable) -> OracleShares:
    """Scores between random explanations (0) and an oracle's (1).

    (m - r) / (o - r), with m, r and o the means of the method, of random explanations and of the oracle over the instances that
    all methods have a score of. Its interval is the jackknife's over these instances, which are the same for all three means. It
    does not cover other seeds of a method.

    Undefined without an oracle or random explanations; where the test of the two alone does not separate them (p >= 0.05), since
    the ratio then has no bounded interval (Fieller 1954); and where the metric prefers the random ones.

    Args:
        group: The cells, which say what method a label is of.
        scores: The ranked scores of the group.
    """
    records = {label: of_label[0] for label, of_label in group.by_method().items() if label in scores.methods}
    for oracle, control in CONTROLS.items():
        best = min(
            (label for label, record in records.items() if record.method == oracle),
            key=lambda label: float(records[label].settings.get(NOISE, 0)),
            default=None,
        )
        chance = next((label for label, record in records.items() if record.method == control), None)
        if best is not None and chance is not None:
            return _shares(scores, best, chance)
    return OracleShares()


def _shares(scores: ScoreTable, oracle: str, control: str) -> OracleShares:
    units, names = scores.units(), scores.methods
    top, bottom = names.index(oracle), names.index(control)
    gap = float(units.sums[top].sum() - units.sums[bottom].sum())
    if scores.higher_is_better is None:
        return OracleShares(oracle, control, reason="the metric says of no end that it is better")
    if not sign_flips(units, np.array([[top, bottom]]))[0] < ALPHA:
        return OracleShares(oracle, control, reason=f"{oracle} and {control} are not separated")
    if (gap > 0) != scores.higher_is_better:
        return OracleShares(oracle, control, reason=f"{control} is better than {oracle}")

    def shares(sums: Float[np.ndarray, "*some methods"]) -> Float[np.ndarray, "*some methods"]:
        ratio: np.ndarray = (sums - sums[..., [bottom]]) / (sums[..., [top]] - sums[..., [bottom]])
        return ratio

    found = jackknife_intervals(units.sums.T, units.strata, shares)
    ends = {
        name: OracleShare(float(value), float(low), float(high))
        for name, value, low, high in zip(names, found.value, found.low, found.high, strict=True)
    }
    fixed = {control: OracleShare(0.0, math.nan, math.nan), oracle: OracleShare(1.0, math.nan, math.nan)}
    return OracleShares(oracle, control, ends | fixed)
