"""How the order of methods depends on the ablation operator of a metric, where a store has scores under several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import kendalltau

from ...benchmark.store.record import Score
from ...metrics.scores import count_in_words
from ...metrics.statistics.differences import paired_differences
from ..stored.comparable_cells import ComparableCells
from ..stored.score_table import CellSource, ScoreTable, StoredScores, read_scores

BEFORE = "zero"
"""The operator of scores that were stored before metrics had the setting."""
MAX_LISTED_CHANGES = 8
"""Most pairs that change places which `compare` lists in words."""


@dataclass(frozen=True)
class RankChange:
    """Two methods that change places.

    Attributes:
        one, other: The methods.
        ahead: Operators under which `one` has the better mean.
        behind: Operators under which `other` has.
        sure: Whether an operator on either side separates them (Holm-corrected p < 0.05).
    """

    one: str
    other: str
    ahead: tuple[str, ...]
    behind: tuple[str, ...]
    sure: bool

    def __str__(self) -> str:
        sides = f"{self.one} is ahead under {', '.join(self.ahead)}, {self.other} under {', '.join(self.behind)}"
        return f"{sides}; both orders are significant" if self.sure else sides


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
        """Labels of the methods."""
        return self.tables[0].methods

    @property
    def instances(self) -> int:
        """How many instances the order rests on."""
        return len(self.tables[0].conditions)

    @cached_property
    def means(self) -> Float[np.ndarray, "operators methods"]:
        """Mean score of each method under each operator."""
        return np.stack([table.values.mean(1) for table in self.tables])

    @cached_property
    def ranks(self) -> Float[np.ndarray, "operators methods"]:
        """1 is best; ties share their mean rank."""
        return self.tables[0].order(self.means)

    @cached_property
    def tau(self) -> Float[np.ndarray, "operators operators"]:
        """Kendall's tau-b between the orders; NaN where one of them ties all methods."""
        return np.array([[kendalltau(a, b).statistic for b in self.ranks] for a in self.ranks])

    def best_first(self, operator: int) -> list[str]:
        """Methods in the order of one operator, by its index."""
        return [self.methods[i] for i in np.argsort(self.ranks[operator], kind="stable")]

    @cached_property
    def flips(self) -> tuple[RankChange, ...]:
        """Pairs of methods that change places, those that are separated both ways first."""
        separated = np.stack([paired_differences(table.units()).separated for table in self.tables], 1)
        changes = []
        for (i, j), by in zip(combinations(range(len(self.methods)), 2), separated, strict=True):
            gap = self.ranks[:, j] - self.ranks[:, i]
            ahead, behind = np.flatnonzero(gap > 0), np.flatnonzero(gap < 0)
            if len(ahead) and len(behind):
                sure = all(by[side].any() for side in (ahead, behind))
                better, worse = (tuple(self.operators[operator] for operator in side) for side in (ahead, behind))
                changes.append(RankChange(self.methods[i], self.methods[j], better, worse, sure))
        return tuple(sorted(changes, key=lambda change: not change.sure))

    def lines(self) -> Iterator[str]:
        """Lines of text for `compare`: the order under each operator, then the pairs that change places."""
        name = f"{self.metric} ({self.settings})" if self.settings else self.metric
        shared = count_in_words(self.instances, self.tables[0].common_clusters)
        yield f"{name} under {len(self.operators)} ablation operators, on {shared} that all have a score for:"
        for index, operator in enumerate(self.operators):
            tau = f" (Kendall's tau to {self.operators[0]} on these instances: {self.tau[0, index]:.2f})" if index else ""
            yield f"  {operator}: {', '.join(self.best_first(index))}{tau}"
        yield from (f"  {flip}" for flip in self.flips[:MAX_LISTED_CHANGES])
        if len(self.flips) > MAX_LISTED_CHANGES:
            yield f"  and {len(self.flips) - MAX_LISTED_CHANGES} more pairs change places"


def panels(source: CellSource, group: ComparableCells) -> list[OperatorSensitivity]:
    """The order under every operator, for each metric that has scores of two methods or more under two operators or more.

    Args:
        source: Finds the group's cells.
        group: Cells of one model on the same instances.
    """
    candidates = (_panel(source, group, family) for family in _families(group) if len(family.identities) > 1)
    return [panel for panel in candidates if panel is not None]


@dataclass
class _Family:
    """Scores that differ in nothing but their operator: other settings, and the metric's identity by operator."""

    name: str
    version: int
    settings: dict[str, Any]
    identities: dict[str, str]

    def holds(self, score: Score) -> bool:
        """Whether a score agrees in every other setting; one that was stored before a setting existed agrees in it."""
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
        return dict(sorted(self.identities.items(), key=lambda item: (item[1] != f"{self.name}@{self.version}", item[0])))


def _families(group: ComparableCells) -> list[_Family]:
    families: list[_Family] = []
    for record in group.records:
        for score in record.scores.values():
            if score.status != "done":
                continue
            family = next((candidate for candidate in families if candidate.holds(score)), None)
            if family is None:
                families.append(family := _Family(score.name, score.version, {}, {}))
            family.settings |= {name: value for name, value in score.settings.items() if name != "operator"}
            family.identities.setdefault(str(score.settings.get("operator", BEFORE)), score.metric)
    return sorted(families, key=lambda family: (family.name, family.version, family.words))


def _panel(source: CellSource, group: ComparableCells, family: _Family) -> OperatorSensitivity | None:
    stored = {operator: read_scores(source, group, identity) for operator, identity in family.ordered.items()}
    first, *others = stored.values()
    methods = [m for m in first.table.methods if all(m in scores.table.methods for scores in others)]
    if len(methods) < 2:
        return None
    shared = sorted(set.intersection(*(_defined(scores, methods) for scores in stored.values())))
    if not shared:
        return None
    tables = tuple(_on_instances(scores, methods, shared) for scores in stored.values())
    return OperatorSensitivity(metric=family.name, settings=family.words, operators=tuple(stored), tables=tables)


def _defined(scores: StoredScores, methods: Sequence[str]) -> set[str]:
    """Instances where all these methods have a score."""
    common = scores.table.narrow(methods).common
    return {name for name, is_common in zip(scores.instances, common, strict=True) if is_common}


def _on_instances(scores: StoredScores, methods: Sequence[str], instances: Sequence[str]) -> ScoreTable:
    """The table of some methods on some instances, in the order given."""
    column_of = {name: index for index, name in enumerate(scores.instances)}
    columns = [column_of[name] for name in instances]
    table = scores.table.narrow(methods)
    conditions = tuple(table.conditions[column] for column in columns)
    clusters = tuple(table.clusters[column] for column in columns if table.clusters)
    by_seed = {name: of_method[:, columns] for name, of_method in table.by_seed.items()}
    return replace(table, values=table.values[:, columns], conditions=conditions, clusters=clusters, by_seed=by_seed)


def panel_table(group: ComparableCells, panel: OperatorSensitivity) -> pd.DataFrame:
    """One row an operator and method: its mean and its rank.

    Args:
        group: Whose panel it is.
        panel: A metric under several operators.
    """
    rows = [
        (group.model, group.task, group.note, panel.metric, panel.settings, operator, method, mean, rank)
        for operator, means, ranks in zip(panel.operators, panel.means, panel.ranks, strict=True)
        for method, mean, rank in zip(panel.methods, means.tolist(), ranks.tolist(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["model", "task", "note", "metric", "settings", "operator", "label", "mean", "rank"])
