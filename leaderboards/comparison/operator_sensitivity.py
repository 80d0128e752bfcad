"""How the order of methods hangs on the ablation operator of a metric, where a store has scores under several. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import kendalltau

from ...benchmark.store.record import Score
from ..stored.comparable_cells import ComparableCells
from ..stored.score_table import CellSource, ScoreTable, StoredScores, read_scores
from .paired_tests import ALPHA, differences, order

BEFORE = "zero"
"""The operator of scores that were stored before it was a setting."""
MAX_LISTED_CHANGES = 8
"""Most pairs that change places which `compare` tells in words."""


@dataclass(frozen=True)
class RankChange:
    """Two methods that change places.

    Attributes:
        one, other: The methods.
        ahead: Operators under which `one` has the better mean.
        behind: Operators under which `other` has.
        sure: Whether an operator on either side tells them apart (Holm-corrected p < 0.05).
    """

    one: str
    other: str
    ahead: tuple[str, ...]
    behind: tuple[str, ...]
    sure: bool

    def __str__(self) -> str:
        sides = f"{self.one} is ahead under {', '.join(self.ahead)}, {self.other} under {', '.join(self.behind)}"
        return f"{sides}; both are told apart" if self.sure else sides


@dataclass(frozen=True, eq=False)
class OperatorSensitivity:
    """One metric under several operators, on the methods and instances that have a score under all of them.

    Attributes:
        metric: Plain name.
        settings: Other settings of the metric, where they are not the defaults.
        operators: The metric's default first.
        tables: Scores under each.
    """

    metric: str
    settings: str
    operators: tuple[str, ...]
    tables: tuple[ScoreTable, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """Labels."""
        return self.tables[0].methods

    @property
    def instances(self) -> int:
        """How many the order rests on."""
        return len(self.tables[0].conditions)

    @cached_property
    def means(self) -> Float[np.ndarray, "operators methods"]:
        """Of each method under each operator."""
        return np.stack([table.values.mean(1) for table in self.tables])

    @cached_property
    def ranks(self) -> Float[np.ndarray, "operators methods"]:
        """1 is best; ties share their mean rank."""
        return order(self.tables[0], np.round(self.means, 12))

    @cached_property
    def tau(self) -> Float[np.ndarray, "operators operators"]:
        """Kendall's tau-b between the orders; NaN where one of them ties all methods."""
        return np.array([[kendalltau(a, b).statistic for b in self.ranks] for a in self.ranks])

    def best_first(self, operator: int) -> list[str]:
        """Methods in the order of one operator."""
        return [self.methods[i] for i in np.argsort(self.ranks[operator], kind="stable")]

    @cached_property
    def flips(self) -> tuple[RankChange, ...]:
        """Pairs of methods that change places, those that are told apart both ways first."""
        apart = [{frozenset((d.one, d.other)) for d in differences(t, only=()) if d.p_holm < ALPHA} for t in self.tables]
        found = []
        for one, other in combinations(range(len(self.methods)), 2):
            gap, pair = self.ranks[:, other] - self.ranks[:, one], frozenset((self.methods[one], self.methods[other]))
            ahead, behind = np.flatnonzero(gap > 0), np.flatnonzero(gap < 0)
            if len(ahead) and len(behind):
                sure = all(any(pair in apart[at] for at in side) for side in (ahead, behind))
                better, worse = (tuple(self.operators[at] for at in side) for side in (ahead, behind))
                found.append(RankChange(self.methods[one], self.methods[other], better, worse, sure))
        return tuple(sorted(found, key=lambda flip: not flip.sure))

    def lines(self) -> Iterator[str]:
        """What `compare` says of it."""
        name = f"{self.metric} ({self.settings})" if self.settings else self.metric
        yield f"{name} under {len(self.operators)} ablation operators, on {self.instances} instances that all have a score for:"
        for number, operator in enumerate(self.operators):
            tau = f" (Kendall's tau to {self.operators[0]}: {self.tau[0, number]:.2f})" if number else ""
            yield f"  {operator}: {', '.join(self.best_first(number))}{tau}"
        yield from (f"  {flip}" for flip in self.flips[:MAX_LISTED_CHANGES])
        if len(self.flips) > MAX_LISTED_CHANGES:
            yield f"  and {len(self.flips) - MAX_LISTED_CHANGES} more pairs change places"


def panels(store: CellSource, group: ComparableCells) -> list[OperatorSensitivity]:
    """A panel for every metric of a group that has scores of two methods or more under two operators or more."""
    found = []
    for family in _families(group):
        if len(family.identities) > 1 and (panel := _panel(store, group, family)) is not None:
            found.append(panel)
    return found


@dataclass
class _Family:
    """Scores that differ in nothing but their operator: other settings, and the metric's identity by operator."""

    name: str
    version: int
    settings: dict[str, Any]
    identities: dict[str, str]

    def holds(self, score: Score) -> bool:
        """Whether a score agrees in every other setting; one that was stored before a setting came agrees in that."""
        same = all(self.settings.get(name, value) == value for name, value in score.settings.items() if name != "operator")
        return (self.name, self.version) == (score.name, score.version) and same

    @property
    def words(self) -> str:
        """The settings, empty where they are the defaults."""
        plain = f"{self.name}@{self.version}" in self.identities.values()
        return "" if plain else ", ".join(f"{name}={value}" for name, value in self.settings.items())

    @property
    def ordered(self) -> dict[str, str]:
        """Identities by operator, the default's first."""
        return dict(sorted(self.identities.items(), key=lambda one: (one[1] != f"{self.name}@{self.version}", one[0])))


def _families(group: ComparableCells) -> list[_Family]:
    found: list[_Family] = []
    for record in group.records:
        for score in record.scores.values():
            if score.status != "done":
                continue
            family = next((one for one in found if one.holds(score)), None)
            if family is None:
                found.append(family := _Family(score.name, score.version, {}, {}))
            family.settings |= {name: value for name, value in score.settings.items() if name != "operator"}
            family.identities.setdefault(str(score.settings.get("operator", BEFORE)), score.metric)
    return sorted(found, key=lambda one: (one.name, one.version, one.words))


def _panel(store: CellSource, group: ComparableCells, family: _Family) -> OperatorSensitivity | None:
    read = {operator: read_scores(store, group, identity) for operator, identity in family.ordered.items()}
    methods = [m for m in next(iter(read.values())).scored.methods if all(m in found.scored.methods for found in read.values())]
    if len(methods) < 2:
        return None
    known = [_defined(found, methods) for found in read.values()]
    shared = sorted(set.intersection(*known))
    if not shared:
        return None
    return OperatorSensitivity(
        family.name, family.words, tuple(read), tuple(_narrow(found, methods, shared) for found in read.values())
    )


def _defined(found: StoredScores, methods: Sequence[str]) -> set[str]:
    """Instances where all these methods have a score."""
    rows = [found.scored.methods.index(m) for m in methods]
    live = ~np.isnan(found.scored.values[rows]).any(0)
    return {name for name, there in zip(found.instances, live, strict=True) if there}


def _narrow(found: StoredScores, methods: Sequence[str], instances: Sequence[str]) -> ScoreTable:
    at = {name: number for number, name in enumerate(found.instances)}
    columns = [at[name] for name in instances]
    rows = [found.scored.methods.index(m) for m in methods]
    conditions = tuple(found.scored.conditions[column] for column in columns)
    return ScoreTable(tuple(methods), found.scored.values[np.ix_(rows, columns)], conditions, found.scored.higher_is_better)


def panel_table(group: ComparableCells, panel: OperatorSensitivity) -> pd.DataFrame:
    """One row an operator and method: its mean and its rank."""
    rows = [
        (group.model, group.task, group.note, panel.metric, panel.settings, operator, method, mean, rank)
        for operator, means, ranks in zip(panel.operators, panel.means, panel.ranks, strict=True)
        for method, mean, rank in zip(panel.methods, means.tolist(), ranks.tolist(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["model", "task", "note", "metric", "settings", "operator", "label", "mean", "rank"])
