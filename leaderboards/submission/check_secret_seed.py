"""Whether a bundle's scores hold on instances that were secret when it was made. No torch."""

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
from ...metrics.bootstrap import CHUNK
from ..stored.comparable_cells import groups
from .verify import BundleProblem, VerificationReport

RunOnSecretSeed = Callable[[Store, Sequence[Record]], SecretSeedScores]
"""(cells of a bundle as a store, cells asked the same question) -> their scores on fresh instances, computed here."""
ALPHA = 0.05
"""Of a false alarm over all that is compared at once."""
PERMUTATIONS = 9999
BEYOND = 50
"""At least so many permutations lie beyond the band."""


class Drift(NamedTuple):
    """A mean as submitted and on fresh instances.

    `explained` is how far two means may lie apart by sampling: what `1 - tail` of all ways to share the scores of both sides out
    to them stay within. `low` and `high` are the difference less and plus that.
    """

    submitted: float
    fresh: float
    explained: float
    submitted_count: int
    fresh_count: int

    @property
    def difference(self) -> float:
        """Submitted less fresh."""
        return self.submitted - self.fresh

    @property
    def low(self) -> float:
        """End of the interval of the difference."""
        return self.difference - self.explained

    @property
    def high(self) -> float:
        """The other end."""
        return self.difference + self.explained

    @property
    def outside(self) -> bool:
        """Whether the interval leaves out 0: sampling does not explain the difference."""
        return abs(self.difference) > self.explained + 1e-9

    def text(self) -> str:
        """In words."""
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
        """What was found so far, and this: a note on every comparison, a problem where sampling does not explain it."""
        problems, notes = list(checked.problems), list(checked.notes)
        pairs: list[tuple[Record, str, pd.DataFrame]] = []
        for group in groups([record for record in checked.records if record.status == "done"]):
            try:
                found = self.refresh(store, group.records)
            except NotApplicable as reason:
                notes.append(BundleProblem(f"{group.model}, {group.task}", f"cannot be checked on fresh instances: {reason}"))
                continue
            except FlowgaugeError as error:
                problems.append(BundleProblem(f"{group.model}, {group.task}", f"checking it on fresh instances failed: {error}"))
                continue
            cells = {record.cell: record for record in group.records}
            pairs += [(cells[cell], metric, rows) for (cell, metric), rows in found.rows.items() if _scored(cells[cell], metric)]
            notes += [
                BundleProblem(cells[c].folder, f"cannot be checked on fresh instances: {why}") for c, why in found.missing.items()
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
    """One variant's mean on both sides, and what sampling explains of the difference; None where they share no condition.

    If both sides' instances are drawn alike, their scores may change places within a condition: the band is the 1 - tail quantile
    of |difference| over such permutations (Fisher 1935; exact however few instances there are, and where all scores of a side
    are the same). Conditions weigh as they do among the submitted instances.

    Args:
        submitted: Score rows.
        fresh: Likewise.
        variant: Of the metric.
        tail: Probability of a false alarm.
        seed: Of the permutations.
    """
    sides = [_means(rows, variant) for rows in (submitted, fresh)]
    shared = [name for name in sides[0] if name in sides[1]]
    if not shared:
        return None
    strata = [(sides[0][name], sides[1][name]) for name in shared]
    weights = np.array([len(one) for one, _ in strata], float) / sum(len(one) for one, _ in strata)
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
    for (one, other), weight in zip(strata, weights, strict=True):
        pooled = np.concatenate([one, other])
        step = max(1, CHUNK // len(pooled))
        for start in range(0, count, step):
            rows = min(step, count - start)
            mixed = rng.permuted(np.broadcast_to(pooled, (rows, len(pooled))), axis=1)
            gap = mixed[:, : len(one)].mean(1) - mixed[:, len(one) :].mean(1)
            moved[start : start + rows] += weight * gap
    return float(np.quantile(np.abs(moved), 1 - tail, method="higher"))
