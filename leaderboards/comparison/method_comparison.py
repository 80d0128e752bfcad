"""Methods of a store side by side on each task: what `flowgauge compare` shows. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd

from ...benchmark.store.store import Store
from ...core.errors import UnknownName, UsageError
from ...core.registry import Spec
from ...metrics.registry import METRICS
from ..stored.comparable_cells import ComparableCells, groups
from ..stored.records import stored_records
from ..stored.score_table import CellSource, ScoreTable, metrics_of, ranked_variant, read_scores
from ..tables.columns import RANKED
from .operator_sensitivity import OperatorSensitivity, panels
from .paired_tests import Difference, Ranks, differences, mean_intervals, narrow, ranks, sentence, tie_groups

COLUMNS = (
    "model", "task", "metric", "variant", "one", "other", "difference", "low", "high", "p", "p_holm", "instances", "needed",
    "one_beats_other", "sentence",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class MethodComparison:
    """The methods of one group on one metric, best first.

    Attributes:
        group: Whose cells.
        metric: Plain name.
        variant: Of the metric.
        unit: Of the scores.
        scored: The table, in the order of rank.
        ranks: Their order and its uncertainty, on the instances that all have.
        pairs: Every pair of methods.
        missing: Why other methods have no score.
        panels: The metric under other ablation operators, where the store has scores under several.
    """

    group: ComparableCells
    metric: str
    variant: str
    unit: str
    scored: ScoreTable
    ranks: Ranks
    pairs: tuple[Difference, ...]
    missing: dict[str, str]
    panels: tuple[OperatorSensitivity, ...] = ()

    @cached_property
    def by_pair(self) -> dict[frozenset[str], Difference]:
        """Each pair's difference."""
        return {frozenset((d.one, d.other)): d for d in self.pairs}

    @cached_property
    def ties(self) -> list[tuple[str, ...]]:
        """Runs of methods that cannot be told apart."""
        return tie_groups(self.scored.methods, self.pairs)

    @property
    def sentences(self) -> list[str]:
        """Each method against the next in rank, then the first against the last."""
        names = self.scored.methods
        wanted = [*pairwise(names), *([(names[0], names[-1])] if len(names) > 2 else [])]
        return [sentence(self.by_pair[frozenset(pair)], self.metric, self.scored.higher_is_better) for pair in wanted]

    def text(self) -> tuple[str, list[tuple[str, ...]], list[str]]:
        """A title, the table, and the lines below it."""
        group = self.group
        title = f"{group.model} on {group.task}{f' ({group.note})' if group.note else ''}, {self.unit}"
        way = {True: "higher is better", False: "lower is better", None: "neither end is better"}[self.scored.higher_is_better]
        common = int(self.scored.common.sum())
        notes = [f"Ranks are of the {common} instances that every method has a score for; {way}. Intervals are 95 %."]
        panels = [line for panel in self.panels for line in panel.lines()]
        return title, self.table(), [*notes, *self.sentences, *(f"{k}: {why}" for k, why in self.missing.items()), *panels, ""]

    def table(self) -> list[tuple[str, ...]]:
        """A head, then a row a method: rank with its interval, mean with its interval, the runs of ties it is in."""
        runs = [run for run in self.ties if len(run) > 1]
        rows: list[tuple[str, ...]] = [("rank", "method", "n", f"{self.metric}\n{self.variant}", "not told apart")]
        bounds = mean_intervals(self.scored)
        for number, (name, values) in enumerate(zip(self.scored.methods, self.scored.values, strict=True)):
            mean = "{:.3f} [{:.3f}, {:.3f}]".format(*bounds[number])
            letters = "".join(chr(ord("a") + at % 26) for at, run in enumerate(runs) if name in run)
            spread = f"{self.ranks.rank[number]:g} [{self.ranks.low[number]:g}, {self.ranks.high[number]:g}]"
            rows.append((spread, name, str(int((~np.isnan(values)).sum())), mean, letters))
        return rows


def compare_methods(url: str, metric: str = "", tasks: Sequence[str] = (), methods: Sequence[str] = ()) -> list[MethodComparison]:
    """The methods of every (model, task, question) of a store on one metric.

    Args:
        url: The store.
        metric: Plain name, with settings after a colon, or `name/variant`; empty: the one that tables rank by, else the store's
            first.
        tasks: Only these.
        methods: Only these, by name or label.

    Raises:
        UsageError: No such store, task, method or metric in it; fewer than two methods with a score everywhere.
    """
    store, records = Store(url), stored_records(url)
    known = groups(records)
    for name in tasks:
        if name not in {group.task for group in known}:
            raise UnknownName("task in this store", name, {group.task for group in known})
    labels = {label for group in known for label in (*group.methods(), *(r.method for r in group.records))}
    for name in methods:
        if name not in labels:
            raise UnknownName("method in this store", name, labels)
    chosen = [group for group in known if not tasks or group.task in tasks]
    name, variant = _metric(metric, chosen)
    identity = _identity(name, chosen)
    sides = [compare_group(store, group, identity, variant, methods) for group in chosen]
    found = [_with_panels(store, side, name, not (variant or methods)) for side in sides if side is not None]
    if not found:
        raise UsageError(
            f"no task in {url!r} has scores of {name} for two methods; `flowgauge run` or `flowgauge score` adds some."
        )
    return found


def _metric(metric: str, chosen: Sequence[ComparableCells]) -> tuple[str, str]:
    known = metrics_of(chosen)
    name, _, variant = metric.partition("/")
    if not name:
        name = RANKED[0] if RANKED[0] in known or not known else known[0]
    plain = Spec.parse(name).name
    if plain in known:
        return name, variant
    if plain in METRICS.entries():
        raise UsageError(f"this store has no scores of {plain}: `flowgauge score STORE --metric {name}` adds them.")
    raise UnknownName("metric", plain, [*known, *METRICS.entries()])


def _identity(name: str, chosen: Sequence[ComparableCells]) -> str:
    """The name itself or, where it has settings, the identity of a metric of the store that has them, the default's first.

    Raises:
        UsageError: The store has the metric with other settings only.
    """
    spec = Spec.parse(name)
    if not spec.settings:
        return name
    scores = [s for group in chosen for record in group.records for s in record.scores.values() if s.name == spec.name]
    found = [s.metric for s in scores if all(s.settings.get(k) == value for k, value in spec.settings.items())]
    if not found:
        there = dict.fromkeys(", ".join(f"{k}={value}" for k, value in s.settings.items()) for s in scores)
        raise UsageError(f"this store has {spec.name} with other settings: {'; '.join(there)}.")
    return min(found, key=len)


def _with_panels(store: Store, side: MethodComparison, name: str, whole: bool) -> MethodComparison:
    """The side as the user named its metric, with what other operators say of all methods."""
    plain = Spec.parse(name).name
    return replace(side, metric=name, panels=tuple(p for p in panels(store, side.group) if p.metric == plain) if whole else ())


def compare_group(
    store: CellSource,
    group: ComparableCells,
    metric: str,
    variant: str = "",
    methods: Sequence[str] = (),
    every_interval: bool = True,
) -> MethodComparison | None:
    """The methods of one group on one metric; None where fewer than two have scores on shared instances.

    Args:
        store: Where the group's cells are.
        group: The cells.
        metric: Plain name or identity.
        variant: Of the metric; empty: the ranked one.
        methods: Only these, by name or label.
        every_interval: False: only neighbours in rank, and the first and the last, get the interval of their difference.
    """
    found = read_scores(store, group, metric, variant)
    names = {label: record.method for label, record in zip(group.methods(), group.records, strict=True)}
    wanted = [m for m in found.scored.methods if not methods or m in methods or names[m] in methods]
    scored = narrow(found.scored, wanted)
    if len(wanted) < 2 or not scored.common.any():
        return None
    order = np.argsort(ranks(scored, resamples=1).rank, kind="stable")
    scored = narrow(scored, [scored.methods[i] for i in order])
    default, _, unit = ranked_variant(group, metric)
    only = None if every_interval else {*pairwise(range(len(wanted))), (0, len(wanted) - 1)}
    pairs = tuple(differences(scored, only=only))
    return MethodComparison(group, metric, variant or default, unit, scored, ranks(scored), pairs, found.missing)


def pairs_table(sides: Sequence[MethodComparison], words: bool = True) -> pd.DataFrame:
    """One row a pair of methods, with a sentence or without."""
    rows = []
    for side in sides:
        at = {name: number for number, name in enumerate(side.ranks.methods)}
        for d in side.pairs:
            said = sentence(d, side.metric, side.scored.higher_is_better) if words else ""
            row = (side.group.model, side.group.task, side.metric, side.variant, d.one, d.other, d.value, d.low, d.high, d.p,
                   d.p_holm, d.instances, d.needed, side.ranks.beats[at[d.one], at[d.other]], said)  # fmt: skip
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS)).drop(columns=[] if words else "sentence")
