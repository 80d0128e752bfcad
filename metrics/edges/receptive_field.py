"""How far apart the positions are that an explanation connects, layer by layer.

Variants; layer 1 is the lowest:

    mean                     mean distance over the layers of an instance that have edges (tokens)
    layer/<l>/mean           mean distance (tokens)
    layer/<l>/relative       the same over the mean distance of all pairs that could be connected (1: no nearer than chance)
    layer/<l>/local          share of edges between positions at most `local` apart
    layer/<l>/distance/<d>   share of edges of a distance: 1, 2, 3-4, 5-8, ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field, PositiveInt

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.explanation import Explanation
from ...methods.gradients.attribution_graph import TAU, layer_scores
from ...methods.views import describe_views
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import Attends
from ...tasks.instance import Instance
from ..base import Aggregate, ExplainedBatch, Scores, frame, score_row
from ..registry import metric
from ..summary import RATIO_NEEDS, summarise, summarise_sums

Weights = Literal["graph", "score"]
NO_EDGES = "no edge between two positions has a positive score."


@metric(
    "receptive_field",
    scope="set",
    reads="edges",
    ranked="mean",
    higher_is_better=None,
    unit="tokens",
    bounds=(1.0, None),
    source="Hao et al. 2020 (arXiv 2004.11207v1), section 5.1",
    misleads="It describes and does not judge: far connections are neither better nor worse. Distances grow with the length of "
    "texts, so that only methods on the same instances can be compared.",
)
@dataclass(frozen=True)
class ReceptiveField(Settings):
    """How far apart the positions are that an explanation connects, layer by layer.

    A layer's edges are summed over heads, a_ij = sum_h edges_h[i, j]; |i - j| is averaged over those with i != j. `graph` counts
    the edges of the published graph equally: a_ij / max(a) > tau, the largest of all entries, and at the last layer a_ij > 0;
    edges of all instances are pooled. `score` weighs positive edges by a_ij, every instance equally. At the last layer only edges
    of the target position count, for q reads no other. On decoders pairs of a position and a later one cannot be connected, nor
    those further apart than a layer's window, and `relative` leaves them out. A decoder's begin of text takes the part of [CLS].
    Intervals of layers are of ratios of sums over instances, by the jackknife. Source: Hao et al. 2020 (arXiv 2004.11207v1),
    section 5.1 and figure 4; the graph's removal of repeated and reversed edges is left out, for it drops a lower layer's edge
    because of a higher one. At least 1; neither end is better.

    Attributes:
        weights: How edges are weighted: `graph` or `score`.
        tau: Share of the layer's largest score that an edge of the graph must exceed.
        local: The largest distance that counts as local (tokens).

    Raises:
        UsageError: The weighting is unknown, tau lies outside [0, 1), or local is below 1.
    """

    weights: Weights = "graph"
    tau: Annotated[float, Field(ge=0, lt=1)] = TAU
    local: PositiveInt = 2

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """Aggregates of every layer; rows hold each instance's mean distance."""
        rows: list[dict[str, Any]] = []
        every_sum: list[Float[np.ndarray, "layers features"]] = []
        instances: list[Instance] = []
        for batch in explained:
            targets = [None] * len(batch.batch) if batch.batch.target is None else batch.batch.target.tolist()
            parts = zip(batch.instances, batch.gold, targets, batch.batch.lengths, strict=True)
            for instance, explanation, target, size in parts:
                attends = model.attends(size) if isinstance(model, FlowModel) else None
                sums = np.mean([self._sums(draw, target, attends) for draw in explanation.each()], 0)
                connected = sums[:, 0] > 0
                value = float((sums[connected, 1] / sums[connected, 0]).mean()) if connected.any() else np.nan
                rows.append(score_row(instance, "mean", value, reason="" if connected.any() else NO_EDGES))
                every_sum.append(sums)
                instances.append(instance)
        table = frame(rows)
        return Scores(table, (*summarise(table, (1.0, None)), *self._layers(every_sum, instances)))

    def _sums(
        self, explanation: Explanation, target: int | None, attends: Attends | None
    ) -> Float[np.ndarray, "layers features"]:
        """Sums over the edges of each layer: weight, and weight times distance, chance distance, locality and each bin."""
        if explanation.edges is None:
            raise NotApplicable(f"the method gives {describe_views(explanation)}, and this metric reads edges.")
        score = np.maximum(layer_scores(explanation.edges.astype(float)), 0)
        n = score.shape[-1]
        distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
        counted = np.broadcast_to(distance > 0, score.shape).copy()
        if attends is not None:
            counted &= attends
        if target is not None:
            counted[-1, np.arange(n) != target] = False  # q reads no other position of the last layer
        weight = self._weights(score, counted)
        chance = (counted * distance).sum((1, 2)) / np.maximum(counted.sum((1, 2)), 1)
        features = [np.ones_like(distance), distance, distance <= self.local, *(b.holds(distance) for b in bins(n))]
        sums = np.einsum("lij,fij->lf", weight, np.array(features, float))
        return np.insert(sums, 2, sums[:, 0] * chance, axis=1)

    def _weights(
        self, score: Float[np.ndarray, "layers tokens tokens"], counted: Bool[np.ndarray, "layers tokens tokens"]
    ) -> Float[np.ndarray, "layers tokens tokens"]:
        """The weight of every edge."""
        if self.weights == "score":
            score = score * counted
            total = score.sum((1, 2), keepdims=True)
            return np.divide(score, total, out=np.zeros_like(score), where=total > 0)
        least = self.tau * score.max((1, 2), keepdims=True)
        least[-1] = 0
        kept: np.ndarray = ((score > least) & counted).astype(float)
        return kept

    def _layers(self, every_sum: Sequence[np.ndarray], instances: Sequence[Instance]) -> Iterator[Aggregate]:
        """Ratios of sums over the instances that have edges in a layer."""
        width = max(sums.shape[1] for sums in every_sum)
        sums = np.array([np.pad(s, ((0, 0), (0, width - s.shape[1]))) for s in every_sum])
        reach = bins(2 ** (width - FIXED - 1) + 1)  # as many as the longest sentence has
        names = ["mean", "relative", "local", *(f"distance/{b.name}" for b in reach)]
        for layer in range(sums.shape[1]):
            connected = sums[:, layer, 0] > 0
            variants = [f"layer/{layer + 1}/{name}" for name in names]
            if not connected.any():
                yield from (Aggregate(v, np.nan, np.nan, np.nan, 0, len(sums), reason=NO_EDGES) for v in variants)
                continue
            reason, undefined = "" if connected.all() else NO_EDGES, int((~connected).sum())
            features, of_these = sums[connected, layer], list(compress(instances, connected.tolist()))
            settings = ((0.0, None), undefined, reason, RATIO_NEEDS, features[:, 0])
            yield from summarise_sums(variants, features, of_these, _ratios, *settings)


FIXED = 4
"""Features before the bins: weight, distance, chance, local."""


def _ratios(sums: Float[np.ndarray, "*some features"]) -> Float[np.ndarray, "*some statistics"]:
    """The statistics of a layer, in the order of their variants, from its sums."""
    weight, distance, chance = (sums[..., n : n + 1] for n in range(3))
    return np.concatenate([distance / weight, distance / chance, sums[..., 3:] / weight], -1)


class Bin(NamedTuple):
    """Distances from `low` to `high`."""

    low: int
    high: int

    @property
    def name(self) -> str:
        """The name of the bin in variants, such as `3-4`."""
        return str(self.high) if self.low == self.high else f"{self.low}-{self.high}"

    def holds(self, distance: np.ndarray) -> np.ndarray:
        """Which distances lie in the bin."""
        inside: np.ndarray = (self.low <= distance) & (distance <= self.high)
        return inside


def bins(n_tokens: int) -> list[Bin]:
    """Bins of doubling width for the distances between n tokens.

    >>> [b.name for b in bins(10)]
    ['1', '2', '3-4', '5-8', '9-16']
    """
    doubling = [Bin(1, 1)]
    while doubling[-1].high < n_tokens - 1:
        doubling.append(Bin(doubling[-1].high + 1, 2 * doubling[-1].high))
    return doubling
