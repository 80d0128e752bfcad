"""How well a model does on what masks keep, against how much they drop: a curve over the margins of several trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from ...benchmark.store.key import canonical
from ...benchmark.store.record import Record
from ..stored.comparable_cells import ComparableCells, find_aggregate, method_labels

F1, SHARE = ("masked_f1", "f1"), ("share_masked", "hard")
"""Metric and variant of both axes: means over depths, of states kept whose P(keep) is above 1/2."""
PUBLISHED = (0.46, 0.68)
"""Shares of words and of hidden states that De Cao et al. 2020 (section 4.1) mask on SST."""


@dataclass(frozen=True, eq=False)
class MaskFrontier:
    """The points of one method at several margins, each over the seeds that have it.

    Attributes:
        label: The method, with the settings other than the margin in which it differs from others of its name.
        margins: The margins, in the order of the mean share that they mask.
        seeds: The seeds; a margin that a seed lacks is NaN there.
        shares: Share masked, by seed and margin.
        f1: Macro-F1 with only what is kept.
        whole: Macro-F1 of the whole model.
    """

    label: str
    margins: tuple[str, ...]
    seeds: tuple[int, ...]
    shares: Float[np.ndarray, "seeds margins"]
    f1: Float[np.ndarray, "seeds margins"]
    whole: float

    def at(self, share: float) -> Float[np.ndarray, " seeds"]:
        """F1 of each seed at a share masked, linear between the two points of the seed around it; NaN where none are."""
        return np.array([_between(*_sorted(shares, f1), share) for shares, f1 in zip(self.shares, self.f1, strict=True)])

    def means(self) -> pd.DataFrame:
        """A row a margin: mean and standard deviation (n - 1) over seeds of share and F1, and the number of seeds."""
        seeds = (~np.isnan(self.f1)).sum(0)
        columns = {"margin": list(self.margins), "seeds": seeds}
        for name, values in (("share", self.shares), ("f1", self.f1)):
            columns |= {name: np.nanmean(values, 0), f"{name}_sd": _spread(values)}
        return pd.DataFrame(columns)


def mask_frontiers(group: ComparableCells, labels: Sequence[str] | None = None) -> list[MaskFrontier]:
    """The frontier of every method of a task that was trained with two margins or more.

    Args:
        group: The cells of one model and task.
        labels: Labels of the cells to read; None: all.
    """
    curves: dict[str, list[Record]] = {}
    for label, record in group.by_label().items():
        is_point = all(not isinstance(find_aggregate(record, *axis), str) for axis in (F1, SHARE))
        if is_point and "margin" in record.settings and (labels is None or label in labels):
            curves.setdefault(canonical([record.method, _others(record), record.key.get("trained_on")]), []).append(record)
    several = [records for records in curves.values() if len({record.settings["margin"] for record in records}) > 1]
    firsts = [records[0].model_copy(update={"settings": _others(records[0])}) for records in several]
    names = method_labels(firsts, seeds=False)
    return [_frontier(name, records) for name, records in zip(names, several, strict=True)]


def _others(record: Record) -> dict[str, object]:
    """The settings of a cell but the margin."""
    return {name: value for name, value in record.settings.items() if name != "margin"}


def _frontier(label: str, records: Sequence[Record]) -> MaskFrontier:
    margins = list(dict.fromkeys(str(record.settings["margin"]) for record in records))
    seeds = tuple(sorted({record.seed or 0 for record in records}))
    points = np.full((2, len(seeds), len(margins)), np.nan)
    for record in records:
        at = seeds.index(record.seed or 0), margins.index(str(record.settings["margin"]))
        points[:, at[0], at[1]] = [_value(record, *axis) for axis in (SHARE, F1)]
    order = np.argsort(np.nanmean(points[0], 0))
    shares, f1 = points[:, :, order]
    whole = float(np.mean([_value(record, F1[0], "clean") for record in records]))
    return MaskFrontier(label, tuple(margins[at] for at in order), seeds, shares, f1, whole)


def _value(record: Record, metric: str, variant: str) -> float:
    found = find_aggregate(record, metric, variant)
    return float("nan") if isinstance(found, str) else found.value


def _sorted(shares: np.ndarray, f1: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points of a seed that are known, in order of their share."""
    known = np.flatnonzero(~np.isnan(shares) & ~np.isnan(f1))
    order = known[np.argsort(shares[known], kind="stable")]
    return shares[order], f1[order]


def _between(shares: np.ndarray, f1: np.ndarray, share: float) -> float:
    """Linear interpolation, and NaN outside.

    >>> _between(np.array([0.2, 0.6]), np.array([0.4, 0.2]), 0.5), _between(np.array([0.2]), np.array([0.4]), 0.5)
    (0.25, nan)
    """
    return float(np.interp(share, shares, f1, left=np.nan, right=np.nan)) if len(shares) else float("nan")


def _spread(values: Float[np.ndarray, "seeds margins"]) -> Float[np.ndarray, " margins"]:
    """Standard deviation over seeds, NaN of fewer than two."""
    count = (~np.isnan(values)).sum(0)
    squares = np.nansum((values - np.nanmean(values, 0)) ** 2, 0)
    spread: np.ndarray = np.sqrt(np.divide(squares, count - 1, out=np.full(len(count), np.nan), where=count > 1))
    return spread
