"""Whether a bundle's scores hold on instances that were secret when it was submitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from ...benchmark.store.record import Record
from ...benchmark.store.store import Store
from ...benchmark.verification.explanation_difference import SecretSeedScores
from ...core.errors import FlowgaugeError, NotApplicable
from ..stored.comparable_cells import groups
from .trust import BundleProblem
from .verify import VerificationReport

RunOnSecretSeed = Callable[[Store, Sequence[Record]], SecretSeedScores]
"""(cells of a bundle as a store, its cells of one model and task) -> their scores on fresh instances, computed here.

Fresh instances are drawn from the secret seed."""
ALPHA = 0.05
"""Probability of a false alarm over all comparisons of one bundle."""
PERMUTATIONS = 9999
BEYOND = 50
"""Permutations that lie beyond the band at least: fewer would make its end a matter of chance."""
CHUNK = 2**22
"""Most permuted scores in memory at once."""


class Drift(NamedTuple):
    """A mean as submitted, and the mean on fresh instances.

    `explained` is how far the two means may differ by sampling alone: where scores are assigned to the two sides at random, the
    share `1 - tail` of differences is no larger. `low` and `high` are the difference less and plus that.
    """

    submitted: float
    fresh: float
    explained: float
    submitted_count: int
    fresh_count: int

    @property
    def difference(self) -> float:
        """The submitted mean less the fresh one."""
        return self.submitted - self.fresh

    @property
    def low(self) -> float:
        """Lower end of the interval of the difference."""
        return self.difference - self.explained

    @property
    def high(self) -> float:
        """Upper end of the interval of the difference."""
        return self.difference + self.explained

    @property
    def outside(self) -> bool:
        """Whether the interval leaves out 0: sampling does not explain the difference."""
        return abs(self.difference) > self.explained + 1e-9

    def text(self) -> str:
        """Both means, their difference with its interval, and the verdict in words."""
        verdict = "more than sampling explains" if self.outside else "sampling explains it"
        return (
            f"{self.submitted:.4g} on {self.submitted_count} submitted instances, {self.fresh:.4g} on {self.fresh_count} fresh "
            f"ones: {self.difference:+.3g} [{self.low:.3g}, {self.high:.3g}], {verdict}."
        )


@dataclass(frozen=True)
class SecretSeedCheck:
    """Compares the ranked score of every cell and metric with the method's on fresh instances; a further check of `verify`.

    Attributes:
        refresh: Runs the methods on fresh instances.
    """

    refresh: RunOnSecretSeed

    def __call__(self, store: Store, checked: VerificationReport) -> VerificationReport:
        """The report so far with this check: a note on every comparison, a problem where sampling does not explain it."""
        problems, notes = list(checked.problems), list(checked.notes)
        pairs: list[tuple[Record, str, pd.DataFrame]] = []
        for group in groups([record for record in checked.records if record.status == "done"]):
            try:
                fresh = self.refresh(store, group.records)
            except NotApplicable as reason:
                notes.append(BundleProblem(f"{group.model}, {group.task}", f"cannot be checked on fresh instances: {reason}"))
                continue
            except FlowgaugeError as error:
                problems.append(BundleProblem(f"{group.model}, {group.task}", f"checking it on fresh instances failed: {error}"))
                continue
            cells = {record.cell: record for record in group.records}
            pairs += [(cells[cell], metric, rows) for (cell, metric), rows in fresh.rows.items() if _scored(cells[cell], metric)]
            notes += [
                BundleProblem(cells[c].folder, f"cannot be checked on fresh instances: {why}") for c, why in fresh.missing.items()
            ]
        for record, metric, rows in pairs:
            stored = store.find(record).rows(metric)
            drift = compare(stored, rows, record.scores[metric].ranked, ALPHA / len(pairs))
            text = drift.text() if drift else "no scores of a condition that fresh instances are of: nothing to compare."
            (problems if drift and drift.outside else notes).append(BundleProblem(f"{record.folder}, {metric}", text))
        trust = "well-formed" if problems else checked.trust
        return replace(checked, problems=tuple(problems), notes=tuple(notes), trust=trust)


def _scored(record: Record, metric: str) -> bool:
    score = record.scores.get(metric)
    return score is not None and score.status == "done"


def compare(submitted: pd.DataFrame, fresh: pd.DataFrame, variant: str, tail: float = ALPHA, seed: int = 0) -> Drift | None:
    """Compares one variant's mean on submitted and on fresh instances.

    If both sides' instances are drawn alike, their scores may change places within a condition: the band is the 1 - tail quantile
    of |difference| over such permutations (Fisher 1935; exact however few instances there are, and where all scores of a side
    are the same). Conditions weigh as they do among the submitted instances.

    Args:
        submitted: Score rows of the bundle.
        fresh: Score rows on fresh instances.
        variant: Of the metric.
        tail: Probability of a false alarm.
        seed: Of the permutations.

    Returns:
        Both means with what sampling explains; None where the sides share no condition.
    """
    sides = [_means(rows, variant) for rows in (submitted, fresh)]
    shared = [name for name in sides[0] if name in sides[1]]
    if not shared:
        return None
    strata = [(sides[0][name], sides[1][name]) for name in shared]
    weights = np.array([len(scores) for scores, _ in strata], float) / sum(len(scores) for scores, _ in strata)
    means = [float(weights @ [stratum[side].mean() for stratum in strata]) for side in (0, 1)]
    counts = [sum(len(stratum[side]) for stratum in strata) for side in (0, 1)]
    return Drift(means[0], means[1], _band(strata, weights, tail, seed), counts[0], counts[1])


def _means(rows: pd.DataFrame, variant: str) -> dict[str, np.ndarray]:
    """Mean over draws of every instance, by condition; undefined ones are left out."""
    chosen = rows[(rows["variant"] == variant) & rows["value"].notna()]
    means = chosen.assign(condition=chosen["condition"].fillna("").astype(str)).groupby(["condition", "instance"])["value"].mean()
    return {str(name): part.to_numpy(float) for name, part in means.groupby(level="condition")}


def _band(
    strata: Sequence[tuple[np.ndarray, np.ndarray]],
    weights: Float[np.ndarray, " strata"],
    tail: float,
    seed: int,
) -> float:
    """The 1 - tail quantile of |difference| when the scores of both sides change places within a stratum."""
    rng, count = np.random.default_rng(seed), max(PERMUTATIONS, int(np.ceil(BEYOND / tail)))
    moved = np.zeros(count)
    for (first, second), weight in zip(strata, weights, strict=True):
        pooled = np.concatenate([first, second])
        step = max(1, CHUNK // len(pooled))
        for start in range(0, count, step):
            rows = min(step, count - start)
            mixed = rng.permuted(np.broadcast_to(pooled, (rows, len(pooled))), axis=1)
            gap = mixed[:, : len(first)].mean(1) - mixed[:, len(first) :].mean(1)
            moved[start : start + rows] += weight * gap
    # The next larger permuted difference, never one between two: the band may be wider than exact, not narrower.
    return float(np.quantile(np.abs(moved), 1 - tail, method="higher"))
