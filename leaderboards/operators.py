"""How the order of methods hangs on the ablation operator of a metric, where a store has scores under several. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import kendalltau

from ..benchmark.record import Score
from .groups import Group
from .paired import ALPHA, Scored, differences, order
from .scored import Found, Shelf, read_scores

BEFORE = "zero"
"""The operator of scores that were stored before it was a setting."""
SAID = 8
"""Most pairs that change places which `compare` tells in words."""


@dataclass(frozen=True)
class Flip:
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
class Panel:
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
    tables: tuple[Scored, ...]

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
    def flips(self) -> tuple[Flip, ...]:
        """Pairs of methods that change places, those that are told apart both ways first."""
        apart = [{frozenset((d.one, d.other)) for d in differences(t, only=()) if d.p_holm < ALPHA} for t in self.tables]
        found = []
        for one, other in combinations(range(len(self.methods)), 2):
            gap, pair = self.ranks[:, other] - self.ranks[:, one], frozenset((self.methods[one], self.methods[other]))
            ahead, behind = np.flatnonzero(gap > 0), np.flatnonzero(gap < 0)
            if len(ahead) and len(behind):
                sure = all(any(pair in apart[at] for at in side) for side in (ahead, behind))
                sides = (tuple(self.operators[at] for at in side) for side in (ahead, behind))
                found.append(Flip(self.methods[one], self.methods[other], *sides, sure))
        return tuple(sorted(found, key=lambda flip: not flip.sure))

    def lines(self) -> Iterator[str]:
        """What `compare` says of it."""
        name = f"{self.metric} ({self.settings})" if self.settings else self.metric
        yield f"{name} under {len(self.operators)} ablation operators, on {self.instances} instances that all have a score for:"
        for number, operator in enumerate(self.operators):
            tau = f" (Kendall's tau to {self.operators[0]}: {self.tau[0, number]:.2f})" if number else ""
            yield f"  {operator}: {', '.join(self.best_first(number))}{tau}"
        yield from (f"  {flip}" for flip in self.flips[:SAID])
        if len(self.flips) > SAID:
            yield f"  and {len(self.flips) - SAID} more pairs change places"


def panels(store: Shelf, group: Group) -> list[Panel]:
    """A panel for every metric of a group that has scores of two methods or more under two operators or more."""
    found = []
    for name, settings, identities in _families(group):
        if len(identities) > 1 and (panel := _panel(store, group, name, settings, identities)) is not None:
            found.append(panel)
    return found


def _families(group: Group) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Metrics that differ in nothing but their operator: name, other settings, and identity by operator."""
    found: dict[tuple[str, int, str], dict[str, str]] = {}
    for record in group.records:
        for score in record.scores.values():
            if score.status == "done":
                family = found.setdefault((score.name, score.version, _rest(score)), {})
                family.setdefault(str(score.settings.get("operator", BEFORE)), score.metric)
    for (name, version, rest), identities in sorted(found.items()):
        default = f"{name}@{version}"
        ordered = dict(sorted(identities.items(), key=lambda one: (one[1] != default, one[0])))
        plain = default in identities.values()
        words = "" if plain else ", ".join(f"{key}={value}" for key, value in json.loads(rest).items())
        yield name, words, ordered


def _rest(score: Score) -> str:
    """All settings but the operator, and but the seed where it is 0, which came with it."""
    kept = {name: value for name, value in score.settings.items() if name != "operator" and (name, value) != ("seed", 0)}
    return json.dumps(kept, sort_keys=True)


def _panel(store: Shelf, group: Group, name: str, settings: str, identities: dict[str, str]) -> Panel | None:
    read = {operator: read_scores(store, group, identity) for operator, identity in identities.items()}
    methods = [m for m in next(iter(read.values())).scored.methods if all(m in found.scored.methods for found in read.values())]
    if len(methods) < 2:
        return None
    known = [_defined(found, methods) for found in read.values()]
    shared = sorted(set.intersection(*known))
    if not shared:
        return None
    return Panel(name, settings, tuple(read), tuple(_narrow(found, methods, shared) for found in read.values()))


def _defined(found: Found, methods: Sequence[str]) -> set[str]:
    """Instances where all these methods have a score."""
    rows = [found.scored.methods.index(m) for m in methods]
    live = ~np.isnan(found.scored.values[rows]).any(0)
    return {name for name, there in zip(found.instances, live, strict=True) if there}


def _narrow(found: Found, methods: Sequence[str], instances: Sequence[str]) -> Scored:
    at = {name: number for number, name in enumerate(found.instances)}
    columns = [at[name] for name in instances]
    rows = [found.scored.methods.index(m) for m in methods]
    conditions = tuple(found.scored.conditions[column] for column in columns)
    return Scored(tuple(methods), found.scored.values[np.ix_(rows, columns)], conditions, found.scored.higher_is_better)


def panel_table(group: Group, panel: Panel) -> pd.DataFrame:
    """One row an operator and method: its mean and its rank."""
    rows = [
        (group.model, group.task, group.note, panel.metric, panel.settings, operator, method, mean, rank)
        for operator, means, ranks in zip(panel.operators, panel.means, panel.ranks, strict=True)
        for method, mean, rank in zip(panel.methods, means.tolist(), ranks.tolist(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["model", "task", "note", "metric", "settings", "operator", "label", "mean", "rank"])
