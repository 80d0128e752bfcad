"""What one group of cells says of its metrics: draws of random and oracle explanations, and the orders of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...benchmark.store.record import Record, Score
from ...metrics.statistics.separation import Separation, order_agreement, separation
from ..comparison.share_of_oracle import CONTROLS, NOISE
from ..stored.comparable_cells import ComparableCells, label, why_not_scored
from ..stored.score_table import CellSource
from ..tables.ranking import rank_methods

DRAWS, PAIRS = "draws", "pairs:"
"""The setting of `random`, and how it begins where every second draw is the reversal of the one before."""
TRUTHS: Mapping[str, Mapping[str, str]] = {
    "ground_truth": {
        "tokens": "tokens/auroc", "nodes": "nodes/auroc", "mask": "nodes/auroc", "heads": "heads/auroc",
        "patterns": "path/known_word",
    },
    "ground_truth_divergence": {"nodes": "hidden_js", "mask": "hidden_js"},
}  # fmt: skip
"""Metrics that know the truth, and the variant that says how near it a method is, by the view that a metric reads."""
LEAST_METHODS = 3
"""Methods from which on an order of them is compared with another."""


class Separations(NamedTuple):
    """The explanations that a metric separates on one task.

    Attributes:
        random: Every two random explanations.
        oracle: Of each oracle, the best first, every explanation with a random one; differences are positive where the oracle's
            is better.
        ladder: Agreement of the metric's order of one explanation of each kind with the known order; NaN with one kind alone.
        instances: How many.
    """

    random: Separation
    oracle: Mapping[str, Separation]
    ladder: float
    instances: int


@dataclass(frozen=True)
class Evidence:
    """What one task says of one metric.

    Attributes:
        separations: Which explanations it separates; the reason where the store has no draws for that.
        means: Mean score of each method but oracles and random ones, turned so that larger is better; empty where the metric says
            of no end that it is better, or ranks fewer than `LEAST_METHODS`.
        truth: How near the truth each method is, larger is nearer; empty where the task does not know.
    """

    separations: Separations | str
    means: Mapping[str, float]
    truth: Mapping[str, float]


def identities(groups: Sequence[ComparableCells]) -> dict[str, Score]:
    """Every metric that is scored an instance, by its identity, with one of its scores."""
    scores = (score for group in groups for record in group.records for score in record.scores.values())
    return {score.metric: score for score in scores if score.status == "done"}


def metric_labels(scores: Mapping[str, Score]) -> dict[str, str]:
    """What each identity is called: the metric, with the settings in which those of its name differ, and its version likewise."""
    labels = {}
    for identity, score in scores.items():
        others = [other for other in scores.values() if other.name == score.name]
        shown = {key for other in others for key in other.settings if len({str(one.settings.get(key)) for one in others}) > 1}
        name = score.name if len({other.version for other in others}) == 1 else f"{score.name}@{score.version}"
        labels[identity] = label(name, score.settings, shown)
    return labels


def evidence(source: CellSource, group: ComparableCells, score: Score, with_draws: bool = True) -> Evidence:
    """What a group says of a metric.

    Args:
        source: Finds the group's cells.
        group: Cells of one model on the same instances.
        score: One of the metric's scores.
        with_draws: Whether draws are compared, which takes most of the time; the order of methods needs none.
    """
    separations = _separations(source, group, score) if with_draws else "the draws were not compared"
    return Evidence(separations, _means(source, group, score.metric), _truth(source, group, score))


def _separations(source: CellSource, group: ComparableCells, score: Score) -> Separations | str:
    reason = "the store has no random explanations of this task"
    for oracle, control in CONTROLS.items():
        of_control = [record for record in group.records if record.method == control]
        random = _table(source, of_control, score)
        if random is None:
            reason = next((_why_not(record, score) for record in of_control), reason)
            continue
        by_noise: dict[float, list[Record]] = {}
        for record in group.records:
            if record.method == oracle:
                by_noise.setdefault(float(record.settings.get(NOISE, 0)), []).append(record)
        best_first = {f"{oracle}:{NOISE}={noise:g}": _table(source, by_noise[noise], score) for noise in sorted(by_noise)}
        oracles = {name: table for name, table in best_first.items() if table is not None}
        return _compare({**oracles, control: random}, score.higher_is_better)
    return reason


def _why_not(record: Record, score: Score) -> str:
    stored = record.scores.get(score.metric)
    return f"{record.method}: {why_not_scored(record, stored, score.name)}"


def _table(source: CellSource, records: Sequence[Record], score: Score) -> pd.DataFrame | None:
    """Scores by the ranked variant, a row a draw of any of the records and a column an instance; None where there are none.

    Of draws in reversed pairs, the first of each pair: the two are not independent, as what is compared has to be.
    """
    tables = []
    for record in records:
        stored = record.scores.get(score.metric)
        if stored is not None and stored.status == "done" and stored.ranked:
            rows = source.find(record).rows(stored.metric)
            rows = rows[rows["variant"] == stored.ranked].fillna({"condition": "", "cluster": ""})
            if str(record.settings.get(DRAWS, "")).startswith(PAIRS):
                rows = rows[rows["draw"] % 2 == 0]
            tables.append(rows.pivot(index="draw", columns=["instance", "condition", "cluster"], values="value"))
    together = pd.concat(tables) if tables else pd.DataFrame()
    return together if together.size else None


def _compare(tables: Mapping[str, pd.DataFrame], higher_is_better: bool | None) -> Separations | str:
    """The last table is of random explanations, those before it of an oracle, the best first."""
    together = pd.concat(list(tables.values())).dropna(axis="columns")
    if together.shape[1] < 2:
        return "fewer than two instances have a score of every random and oracle explanation"
    *oracles, control = tables
    stops = np.cumsum([len(table) for table in tables.values()])
    rows = dict(zip(tables, np.split(np.arange(len(together)), stops[:-1]), strict=True))
    fewest = min(len(of_kind) for of_kind in rows.values())
    pairs = [np.array(list(combinations(rows[control], 2)), int).reshape(-1, 2)]
    pairs += [np.stack([rows[name][:fewest], rows[control][:fewest]], 1) for name in oracles]
    values = together.to_numpy(float)
    conditions, clusters = (together.columns.get_level_values(name).to_numpy(str) for name in ("condition", "cluster"))
    whole, sign = separation(values, np.concatenate(pairs), conditions, clusters), -1.0 if higher_is_better is False else 1.0
    parts = np.split(np.arange(len(whole.difference)), np.cumsum([len(part) for part in pairs])[:-1])
    random, *against = (Separation(sign * whole.difference[part], whole.separated[part]) for part in parts)
    means = sign * np.stack([values[of_kind[:fewest]].mean(1) for of_kind in rows.values()])
    known = -np.arange(len(rows), dtype=float)
    ladder = float(np.mean([order_agreement(known, of_draw) for of_draw in means.T]))
    return Separations(random, dict(zip(oracles, against, strict=True)), ladder, values.shape[1])


def _means(source: CellSource, group: ComparableCells, metric: str, variant: str = "") -> dict[str, float]:
    """Mean score of each method on the instances that all of them have, larger is better; oracles and random ones left out."""
    known = {*CONTROLS, *CONTROLS.values()}
    labels = [name for name, records in group.by_method().items() if records[0].method not in known]
    ranking = rank_methods(source, group, metric, variant)
    scores = ranking.scores.narrow([name for name in ranking.scores.methods if name in labels])
    if scores.higher_is_better is None or len(scores.methods) < LEAST_METHODS or not scores.common.any():
        return {}
    sign = 1.0 if scores.higher_is_better else -1.0
    return dict(zip(scores.methods, (sign * scores.common_means()).tolist(), strict=True))


def _truth(source: CellSource, group: ComparableCells, score: Score) -> dict[str, float]:
    for metric, variant_of in TRUTHS.items():
        if score.reads in variant_of and (means := _means(source, group, metric, variant_of[score.reads])):
            return means
    return {}
