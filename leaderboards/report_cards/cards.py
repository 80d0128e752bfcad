"""The report card of every metric of a store, from what each of its tasks says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import kendalltau

from ...benchmark.store.record import Score
from ...benchmark.store.store import Store
from ...core.errors import UnknownName, UsageError
from ...core.progress import Progress
from ...metrics.statistics.intervals import Bounds, mean_intervals
from ...metrics.statistics.separation import order_agreement
from ..comparison.share_of_oracle import CONTROLS
from ..stored.comparable_cells import groups
from ..stored.records import stored_records
from .evidence import LEAST_METHODS, Evidence, Separations, evidence, identities, metric_labels

OPERATOR = "operator"
"""The setting in which operators of one metric differ."""
NO_DIRECTION = "the metric says of no end that it is better"
NO_TRUTH = "no task knows the truth of {reads} for {least} methods that have a score"
THE_TRUTH = "the truth itself"


class TaskMean(NamedTuple):
    """A number that each task has, averaged over tasks, with a 95 % interval over tasks.

    Attributes:
        value: NaN where no task has one.
        low, high: NaN where fewer than two tasks have one, or none differs from another.
        tasks: How many have one.
        reason: Why no task has one, or what a reader must know of the number.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")
    tasks: int = 0
    reason: str = ""


@dataclass(frozen=True)
class ReportCard:
    """What a metric can be trusted with.

    Attributes:
        metric: What it is called, with the settings in which the store has it several times.
        reads: The view that it reads.
        unit: Of its scores.
        higher_is_better: None where neither end is better.
        instances: The fewest and the most that a task has; (0, 0) where the store has no draws.
        noise: How far the means of two random explanations differ, without sign, in the metric's unit.
        noise_95: The difference that 95 % of all pairs stay below; NaN where there are none.
        level: Share of pairs of random explanations that the paired test calls different.
        power: Share of explanations by an oracle that the test calls better than a random one, by oracle, the best first.
        ladder: Agreement of the order of one explanation by every oracle and a random one with the known order (Kendall's tau).
        truth: Agreement of the order of methods with how near they are to the truth (Kendall's tau).
        correlations: Kendall's tau-b of the orders of methods by this metric and by each other one.
        operators: Those of `correlations` that are the same metric under another ablation operator.
    """

    metric: str
    reads: str
    unit: str
    higher_is_better: bool | None
    instances: tuple[int, int]
    noise: TaskMean
    noise_95: float
    level: TaskMean
    power: Mapping[str, TaskMean]
    ladder: TaskMean
    truth: TaskMean
    correlations: Mapping[str, TaskMean]
    operators: tuple[str, ...]


class MeasuredTask(NamedTuple):
    """A task that cards were measured on.

    Attributes:
        model: The model.
        task: The task.
        instances: How many.
    """

    model: str
    task: str
    instances: int


@dataclass(frozen=True)
class ReportCards:
    """The cards of a store.

    Attributes:
        cards: One a metric.
        tasks: What they were measured on.
        methods: How many methods were ordered; oracles and random explanations are not among them.
    """

    cards: tuple[ReportCard, ...]
    tasks: tuple[MeasuredTask, ...]
    methods: int

    @property
    def measured_on(self) -> str:
        """The tasks, their instances and the number of methods, in a sentence."""
        sizes = sorted({task.instances for task in self.tasks})
        instances = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        tasks = ", ".join(dict.fromkeys(task.task for task in self.tasks))
        return f"Measured on {tasks}, with {instances} instances each; {self.methods} methods were ordered."


def report_cards(url: str, metrics: Sequence[str] = (), quiet: bool = True) -> ReportCards:
    """The card of every metric that a store has scores of, an instance each.

    Args:
        url: The store.
        metrics: Only these, by plain name or as cards call them; all others still are in the correlations.
        quiet: Shows no progress bar.

    Raises:
        UsageError: No such store, or it has no scores.
        UnknownName: A metric that the store has no scores of.
    """
    store, grouped = Store(url), groups(stored_records(url))
    scores = identities(grouped)
    if not scores:
        raise UsageError(f"the store {url!r} has no scores; `flowgauge score {url} --metric NAME` adds some.")
    labels = metric_labels(scores)
    names = {score.name for score in scores.values()} | set(labels.values())
    for name in metrics:
        if name not in names:
            raise UnknownName("metric in this store", name, names)
    of_metric: dict[str, list[Evidence]] = {}
    with Progress(len(scores) * len(grouped), quiet) as progress:
        for identity, score in scores.items():
            for group in grouped:
                progress.step(labels[identity], 0)
                asked = not metrics or bool({labels[identity], score.name} & set(metrics))
                of_metric.setdefault(labels[identity], []).append(evidence(store, group, score, with_draws=asked))
                progress.step(labels[identity])
    siblings = _siblings({labels[i]: score for i, score in scores.items()})
    every = [(labels[i], score) for i, score in scores.items() if not metrics or {labels[i], score.name} & set(metrics)]
    controls = {*CONTROLS, *CONTROLS.values()}
    return ReportCards(
        cards=tuple(_card(name, score, of_metric, siblings[name]) for name, score in every),
        tasks=tuple(MeasuredTask(group.model, group.task, group.instances) for group in grouped),
        methods=len({record.method for group in grouped for record in group.records} - controls),
    )


def _siblings(scores: Mapping[str, Score]) -> dict[str, tuple[str, ...]]:
    """Of each metric the others that differ from it in the operator alone."""

    def family(score: Score) -> tuple[str, int, str]:
        return score.name, score.version, str(sorted((k, str(v)) for k, v in score.settings.items() if k != OPERATOR))

    return {
        name: tuple(other for other, its in scores.items() if other != name and family(its) == family(score))
        for name, score in scores.items()
    }


def _card(name: str, score: Score, of_metric: Mapping[str, Sequence[Evidence]], siblings: tuple[str, ...]) -> ReportCard:
    own = of_metric[name]
    separations = [one.separations for one in own if isinstance(one.separations, Separations)]
    why = next((one.separations for one in own if isinstance(one.separations, str)), "")
    sizes = [one.instances for one in separations]
    differences = np.abs(np.concatenate([one.random.difference for one in separations])) if separations else np.zeros(0)
    with_pairs = [one for one in separations if len(one.random.difference)]
    few = why or "random explanations have one draw alone"
    kinds = sorted({kind for one in separations for kind in one.oracle}, key=lambda kind: (kind.partition(":")[0], _noise(kind)))
    directed = "" if score.higher_is_better is not None else NO_DIRECTION
    no_oracle = directed or why or "the store has no explanations by an oracle"
    return ReportCard(
        metric=name, reads=score.reads, unit=score.unit, higher_is_better=score.higher_is_better,
        instances=(min(sizes, default=0), max(sizes, default=0)),
        noise=_over_tasks((float(np.abs(one.random.difference).mean()) for one in with_pairs), few, (0.0, None)),
        noise_95=float(np.quantile(differences, 0.95)) if len(differences) else float("nan"),
        level=_over_tasks((float(one.random.separated.mean()) for one in with_pairs), few, (0.0, 1.0)),
        power={} if directed else {kind: _over_tasks(_power(separations, kind), no_oracle, (0.0, 1.0)) for kind in kinds},
        ladder=_over_tasks([] if directed else [one.ladder for one in separations if one.oracle], no_oracle, (-1.0, 1.0)),
        truth=_truth(score, own),
        correlations={
            other: _over_tasks(_taus(own, others, kendall), _why_no_order(directed), (-1.0, 1.0))
            for other, others in of_metric.items() if other != name
        },
        operators=siblings,
    )  # fmt: skip


def _noise(kind: str) -> float:
    return float(kind.rpartition("=")[2])


def _power(separations: Sequence[Separations], kind: str) -> Iterator[float]:
    for one in separations:
        if kind in one.oracle:
            against = one.oracle[kind]
            yield float((against.separated & (against.difference > 0)).mean())


def _truth(score: Score, own: Sequence[Evidence]) -> TaskMean:
    if score.higher_is_better is None:
        return TaskMean(float("nan"), reason=NO_DIRECTION)
    agreements = list(_taus(own, own, order_agreement, truth=True))
    agreement = _over_tasks(agreements, NO_TRUTH.format(reads=score.reads, least=LEAST_METHODS), (-1.0, 1.0))
    itself = bool(agreements) and all(one.means == one.truth for one in own if one.truth)
    return agreement._replace(reason=THE_TRUTH) if itself else agreement


def kendall(one: np.ndarray, other: np.ndarray) -> float:
    """Kendall's tau-b of two orders; NaN where one of them ties everything."""
    return float(kendalltau(one, other).statistic)


def _why_no_order(directed: str) -> str:
    return directed or f"no task has scores of {LEAST_METHODS} methods by both, in orders that are no tie"


def _taus(
    own: Sequence[Evidence], others: Sequence[Evidence], agree: Callable[[np.ndarray, np.ndarray], float], truth: bool = False
) -> Iterator[float]:
    """The agreement of two orders on each task where both have enough methods."""
    for one, other in zip(own, others, strict=True):
        reference, scores = (one.truth, one.means) if truth else (one.means, other.means)
        shared = sorted(set(reference) & set(scores))
        if len(shared) >= LEAST_METHODS:
            yield agree(*(np.array([values[name] for name in shared]) for values in (reference, scores)))


def _over_tasks(values: Sequence[float] | Iterator[float], reason: str, bounds: Bounds) -> TaskMean:
    defined = np.array([value for value in values if value == value])
    if not len(defined):
        return TaskMean(float("nan"), reason=reason)
    # Shares of pairs are no outcomes of 0 and 1, whose interval equal ones would get: the ends are cut to the bounds afterwards.
    ((value, *ends),) = mean_intervals(defined[None], np.full(len(defined), "")).tolist()
    low, high = np.clip(ends, *(np.array(bounds, float)))
    return TaskMean(value, float(low), float(high), len(defined))


def kinds_of(cards: Sequence[ReportCard]) -> list[str]:
    """Every oracle that any card has, those of scores before those of masks and the best first."""
    kinds = {kind for card in cards for kind in card.power}
    return sorted(kinds, key=lambda kind: ([*CONTROLS].index(kind.partition(":")[0]), _noise(kind)))
