"""The methods of a store beside one another on each task: what `flowgauge compare` shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from itertools import pairwise

import pandas as pd

from ...benchmark.store.store import Store
from ...core.errors import UnknownName, UsageError
from ...core.registry import Spec
from ...metrics.registry import METRICS
from ...metrics.scores import with_interval
from ...metrics.statistics.letters import letters
from ..stored.comparable_cells import ComparableCells, groups, note_lines
from ..stored.records import stored_records
from ..stored.score_table import CellSource, metrics_of, without_version
from ..tables.columns import RANKED
from ..tables.ranking import Ranking, rank_methods
from .operator_sensitivity import OperatorSensitivity, panels
from .paired_tests import Difference, Ranks, differences, ranks, sentence, separated_pairs
from .share_of_oracle import OracleShares, oracle_shares

COLUMNS = (
    "model", "task", "metric", "variant", "one", "other", "difference", "low", "high",
    "low_corrected", "high_corrected", "level", "p", "p_holm", "instances", "needed", "one_beats_other", "sentence",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class MethodComparison(Ranking):
    """A ranking of methods with how sure it is.

    Attributes:
        ranks: The order and its uncertainty, on the instances that all have.
        pairs: Every pair of methods.
        panels: The metric under other ablation operators, where the store has scores under several.
    """

    ranks: Ranks
    pairs: tuple[Difference, ...]
    panels: tuple[OperatorSensitivity, ...] = ()

    @cached_property
    def by_pair(self) -> dict[frozenset[str], Difference]:
        """The difference of each pair of methods."""
        return {frozenset((d.one, d.other)): d for d in self.pairs}

    @cached_property
    def of_oracle(self) -> OracleShares:
        """How far each method comes from random explanations to those of an oracle, where the table has both."""
        return oracle_shares(self.group, self.scores)

    @cached_property
    def letters(self) -> list[str]:
        """Letters of each method: two share one if and only if they are not separated."""
        return letters(separated_pairs(self.scores.methods, self.pairs))

    @property
    def sentences(self) -> list[str]:
        """Each method against the next in rank, then the first against the last, in words."""
        names = self.scores.methods
        told_pairs = [*pairwise(names), *([(names[0], names[-1])] if len(names) > 2 else [])]
        return [sentence(self.by_pair[frozenset(pair)], self.metric, self.scores.higher_is_better) for pair in told_pairs]

    def text(self) -> tuple[str, list[tuple[str, ...]], list[str]]:
        """A title, the table, and the lines below it."""
        group, shared = self.group, self._metrics_of_all()
        title = f"{group.model} on {group.task}{f' ({group.note})' if group.note else ''}, {self.unit}"
        way = {True: "higher is better", False: "lower is better", None: "neither end is better"}[self.scores.higher_is_better]
        head = (
            f"Ranks are of the {self.shared_in_words} that every method has a score for; {way}. Intervals are 95 % over such "
            "instances; those of ranks hold all at once: they are the ranks that the separated pairs leave."
        )
        missing = [f"{name}: {reason}" for name, reason in self.missing.items()]
        missing += [f"Every method has a score of {', '.join(shared)}: --metric compares by one of them."] if shared else []
        once = note_lines({m: note for m, note in group.trained_once.items() if m in self.scores.methods})
        operators = [line for panel in self.panels for line in panel.lines()]
        shares = self.of_oracle
        scaled = [f"of the oracle: 0 as {shares.control}, 1 as {shares.oracle}."] if shares.of_method else []
        scaled += [f"No share of the oracle: {shares.reason}."] if shares.reason else []
        return title, self.table(), [head, *scaled, *self.sentences, *once, *missing, *operators, ""]

    def _metrics_of_all(self) -> list[str]:
        """Metrics of which every method has scores, where it has none of this one."""
        scored = [
            {
                score.name
                for record in records
                for score in record.scores.values()
                if score.status == "done" and score.scope == "instance"
            }
            for records in self.group.by_method().values()
        ]
        everywhere = set.intersection(*scored)
        return [] if Spec.parse(self.metric.partition("/")[0]).name in everywhere else sorted(everywhere)

    def table(self) -> list[tuple[str, ...]]:
        """A head, then a row a method: rank with its interval, mean with its interval, letters of its ties.

        Where the table has an oracle and random explanations, also the share of the way between these.
        """
        scale = self.of_oracle
        shares = scale.of_method
        further = ("of the oracle",) if shares else ()
        rows: list[tuple[str, ...]] = [("rank", "method", "n", f"{self.metric}\n{self.variant}", *further, "not separated")]
        counted = zip(self.scores.methods, self.scores.counts, self.scores.cluster_counts, strict=True)
        for index, (name, count, clusters) in enumerate(counted):
            mean, low, high = self.means[index].tolist()
            rank = f"{self.ranks.rank[index]:g} [{self.ranks.low[index]:g}, {self.ranks.high[index]:g}]"
            mean_text = with_interval(mean, low, high, count, clusters=clusters)
            ends = {scale.oracle: "1", scale.control: "0"}
            share = (ends.get(name) or with_interval(*shares[name], int(self.scores.common.sum())),) if shares else ()
            rows.append((rank, name, str(count), mean_text, *share, self.letters[index]))
        return rows


def compare_methods(url: str, metric: str = "", tasks: Sequence[str] = (), methods: Sequence[str] = ()) -> list[MethodComparison]:
    """The methods of every (model, task, question) of a store on one metric.

    Args:
        url: The store.
        metric: Plain name, with settings after a colon, or `name/variant`; empty: the one that tables rank by, else the store's
            first.
        tasks: Only these.
        methods: Only these, by name or label.

    Returns:
        One comparison a group that has scores of two methods on shared instances.

    Raises:
        UsageError: No such store, task, method or metric in it; fewer than two methods with a score everywhere.
    """
    store, grouped = Store(url), groups(stored_records(url))
    for name in tasks:
        if name not in {group.task for group in grouped}:
            raise UnknownName("task in this store", name, {group.task for group in grouped})
    labels = {label for group in grouped for label in (*group.methods(), *(r.method for r in group.records))}
    for name in methods:
        if name not in labels:
            raise UnknownName("method in this store", name, labels)
    chosen = [group for group in grouped if not tasks or group.task in tasks]
    name, variant = _metric(metric, chosen)
    identity = _identity(name, chosen)
    comparisons = [compare_group(store, group, identity, variant, methods) for group in chosen]
    whole = not (variant or methods)
    compared = [_with_panels(store, comparison, name, whole) for comparison in comparisons if comparison is not None]
    if not compared:
        left_out = [rank_methods(store, group, identity, variant, methods).too_few for group in chosen]
        unranked = [f"{label}: {why}" for few in left_out for label, why in few.items()]
        raise UsageError(
            f"no task in {url!r} has scores of {name} for two methods{f' that are ranked ({unranked[0]})' if unranked else ''}; "
            "`flowgauge run` or `flowgauge score` adds some."
        )
    return compared


def compare_group(
    source: CellSource,
    group: ComparableCells,
    metric: str,
    variant: str = "",
    methods: Sequence[str] = (),
) -> MethodComparison | None:
    """The methods of one group on one metric; None where fewer than two have scores on shared instances.

    Args:
        source: Finds the group's cells.
        group: The cells.
        metric: Plain name or identity.
        variant: Of the metric; empty: the ranked one.
        methods: Only these, by name or label.
    """
    ranking = rank_methods(source, group, metric, variant, methods)
    if len(ranking.scores.methods) < 2 or not ranking.shared:
        return None
    pairs = tuple(differences(ranking.scores))
    return MethodComparison(
        group=group, metric=metric, variant=ranking.variant, unit=ranking.unit, scores=ranking.scores, missing=ranking.missing,
        controls=ranking.controls, ranks=ranks(ranking.scores, pairs), pairs=pairs,
    )  # fmt: skip


def pairs_table(comparisons: Sequence[MethodComparison], words: bool = True) -> pd.DataFrame:
    """One row a pair of methods, with the columns `COLUMNS`.

    Args:
        comparisons: Of any groups.
        words: False: without the column `sentence`.
    """
    rows = []
    for comparison in comparisons:
        row_of = {name: index for index, name in enumerate(comparison.ranks.methods)}
        named = (comparison.group.model, comparison.group.task, comparison.metric, comparison.variant)
        for d in comparison.pairs:
            text = sentence(d, comparison.metric, comparison.scores.higher_is_better) if words else ""
            beats = comparison.ranks.beats[row_of[d.one], row_of[d.other]]
            rows.append((*named, *d[: Difference._fields.index("pairs")], beats, text))
    return pd.DataFrame(rows, columns=list(COLUMNS)).drop(columns=[] if words else "sentence")


def _metric(metric: str, chosen: Sequence[ComparableCells]) -> tuple[str, str]:
    """Name (settings included) and variant of the metric that a user means."""
    scored = metrics_of(chosen)
    name, _, variant = metric.partition("/")
    name = without_version(name, (record for group in chosen for record in group.records))
    if not name:
        name = RANKED[0] if RANKED[0] in scored or not scored else scored[0]
    plain = Spec.parse(name).name
    if plain in scored:
        return name, variant
    if plain in METRICS.entries():
        raise UsageError(f"this store has no scores of {plain}: `flowgauge score STORE --metric {name}` adds them.")
    known = [*scored, *get_close_matches(plain[:100], METRICS.entries(), cutoff=0.5)]
    raise UnknownName("metric in this store", plain, known, "`flowgauge list metrics` shows all that can be added.")


def _identity(name: str, chosen: Sequence[ComparableCells]) -> str:
    """The name itself or, where it has settings, the identity of a metric of the store that has them, the default's first.

    Raises:
        UsageError: The store has the metric with other settings only.
    """
    spec = Spec.parse(name)
    if not spec.settings:
        return name
    scores = [s for group in chosen for record in group.records for s in record.scores.values() if s.name == spec.name]
    identities = [s.metric for s in scores if all(s.settings.get(k) == value for k, value in spec.settings.items())]
    if not identities:
        there = dict.fromkeys(", ".join(f"{k}={value}" for k, value in s.settings.items()) for s in scores)
        raise UsageError(
            f"this store has {spec.name} with other settings: {'; '.join(there)}. Name these, or "
            f"`flowgauge score STORE --metric {name}` adds scores with yours."
        )
    return min(identities, key=len)  # the default's identity has no suffix


def _with_panels(store: Store, comparison: MethodComparison, name: str, whole: bool) -> MethodComparison:
    """The comparison under the name that the user gave its metric; of all methods also under other ablation operators."""
    plain = Spec.parse(name).name
    of_metric = tuple(p for p in panels(store, comparison.group) if p.metric == plain) if whole else ()
    return replace(comparison, metric=name, panels=of_metric)
