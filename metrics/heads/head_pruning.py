"""Accuracy against the share of attention heads pruned.

Variants of `head_pruning`, heads ranked over all layers, for each share r in percent:

    least-first/<r>    share of instances that are right with r % of the heads pruned, least important first
    most-first/<r>     the same, most important first
    gap                area of least-first minus area of most-first (-1 to 1; 0: the ranking says nothing)

Variants of `layer_head_pruning`, for k = 0..A heads pruned in every layer:

    mean/<order>/<k>         ranked by importance, as above
    instance/<order>/<k>     ranked by each instance's own explanation of the predicted answer
    oracle/<order>/<k>       ranked by each instance's own explanation of the gold answer, which leaks it

Each line has `<line>/auc`, an instance's area by trapezoids, and `<line>/auc/agreement`, the same for agreement with the whole
model's prediction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field, PositiveInt

from ...core.settings import Settings
from ...models.flow.flow_model import FlowModel
from ..base import ExplainedBatch, Scores, frame, score_row
from ..reduced_models.heads import kept_heads, pruning_rows
from ..registry import metric
from .head_importance import HeadScores, draws_of_heads, first_by_id, halves

ORDERS = {"least-first": False, "most-first": True}


@dataclass(frozen=True, kw_only=True)
class _Pruning(Settings):
    """The settings of the ranking, and the loop over batches, that both metrics share.

    Attributes:
        leak: Whether the first instances (in the order of their ids) set the ranking for all.
        first: How many instances set it, if `leak` is true.
        seed: Of the halves.
    """

    leak: bool = False
    first: PositiveInt = 200
    seed: int = 0

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance, line, step of pruning and draw, and two for each area."""
        ranking = _Ranking.of(explained, self.leak, self.first, self.seed)
        return Scores(frame([row for batch in explained for row in self._rows(model, batch, ranking.of_batch(batch))]))

    def _rows(self, model: FlowModel, batch: ExplainedBatch, importance: np.ndarray) -> Iterator[dict[str, Any]]:
        """The score rows of a batch, from the importance of every head for each instance and draw."""
        raise NotImplementedError


@metric(
    "head_pruning",
    reads="heads",
    needs={"transformer"},
    pools=True,
    ranked="least-first/auc",
    higher_is_better=True,
    unit="share of instances",
    bounds=(0.0, 1.0),
    source="Hao et al. 2021, section 5.2",
    misleads="Heads are pruned together, but were scored one by one: heads that stand in for each other look dispensable until "
    "all of them are gone. The ranking is of means over a task, so that it says nothing of a single sentence.",
)
@dataclass(frozen=True)
class HeadPruning(_Pruning):
    """Accuracy against the share of heads pruned, least and most important first, and its area.

    A head's importance is the mean of its score over the ranking instances, I_h = E_x[heads_h]; heads of all layers are ranked
    together, lower layers and heads first on ties. The first floor(L A r) are pruned, r = 0, 1/steps, ..., 1: their context
    vectors are zeros, nothing is trained again. Source: Hao et al. 2021, section 5.2 and figure 5, where the explained quantity
    is the gold answer's probability. In [0, 1]; least important first: higher is better.

    By default no instance is scored with a ranking it took part in: the instances are split in two halves, each condition apart,
    and each half is ranked for the other. `leak` is the published setting: some instances rank, and all are evaluated.

    Attributes:
        steps: Shares, evenly spaced up to 1.

    Raises:
        UsageError: There are fewer than 2 steps, or no instance sets the ranking.
    """

    steps: Annotated[int, Field(ge=2)] = 10

    def _rows(self, model: FlowModel, batch: ExplainedBatch, importance: np.ndarray) -> Iterator[dict[str, Any]]:
        ticks = [f"{100 * step / self.steps:g}" for step in range(self.steps + 1)]
        lines = {name: _masks(importance, self.steps, most_first) for name, most_first in ORDERS.items()}
        curves = list(pruning_rows(model, batch, lines, ticks))
        yield from (*curves, *_gaps(batch, curves))


@metric(
    "layer_head_pruning",
    reads="heads",
    needs={"transformer"},
    pools=True,
    ranked="mean/least-first/auc",
    higher_is_better=True,
    unit="share of instances",
    bounds=(0.0, 1.0),
    source="Hao et al. 2021, section 5.1",
    misleads="Every layer loses the same number of heads, although layers may need different ones. The variant `oracle` ranks "
    "the heads of each instance by its gold answer, which leaks it.",
)
@dataclass(frozen=True)
class LayerHeadPruning(_Pruning):
    """Accuracy against the number of heads pruned in every layer, least and most important first, and its area.

    As `head_pruning`, but heads are ranked within their layer and k = 0..A of them are pruned in every layer at once. Source:
    Hao et al. 2021, section 5.1 and figure 3. The 97 % published for keeping two heads a layer exceeds the whole model's
    accuracy on all their data, so that ranking must have been each instance's own, by the gold answer: that is `oracle`, and it
    leaks. In [0, 1]; least important first: higher is better.

    Raises:
        UsageError: No instance sets the ranking.
    """

    def _rows(self, model: FlowModel, batch: ExplainedBatch, importance: np.ndarray) -> Iterator[dict[str, Any]]:
        gold, predicted = draws_of_heads(batch.gold), draws_of_heads(batch.predicted)
        lines = {
            f"{by}/{name}": _masks(scores, model.n_heads, most_first, per_layer=True)
            for by, scores in {"mean": importance, "instance": predicted, "oracle": gold}.items()
            for name, most_first in ORDERS.items()
        }
        return pruning_rows(model, batch, lines, [str(count) for count in range(model.n_heads + 1)])


@dataclass(frozen=True, eq=False)
class _Ranking:
    """The importance that each instance is pruned by.

    Attributes:
        which: Index into `importance`, by the id of the instance.
        importance: Mean scores over the instances that set each ranking.
    """

    which: dict[str, int]
    importance: Float[np.ndarray, "rankings draws layers heads"]

    @classmethod
    def of(cls, explained: Sequence[ExplainedBatch], leak: bool, first: int, seed: int) -> _Ranking:
        """The rankings that explanations of the gold answer set."""
        known = gather(explained)
        if leak:
            return cls(dict.fromkeys(known.names, 0), known.importance(first_by_id(known.names, first))[None])
        half = halves(known.names, known.conditions, seed)
        importance = [known.importance(np.flatnonzero(half != scored).tolist()) for scored in (0, 1)]
        return cls(dict(zip(known.names, half.tolist(), strict=True)), np.stack(importance))

    def of_batch(self, explained: ExplainedBatch) -> Float[np.ndarray, "batch draws layers heads"]:
        """The importance of every head, for each instance of a batch."""
        importance: np.ndarray = self.importance[[self.which[name] for name in explained.batch.names]]
        return importance


def gather(explained: Sequence[ExplainedBatch]) -> HeadScores:
    """Head scores of all instances, from the explanations of the gold answer."""
    names, conditions, scores = list[str](), list[str](), list[np.ndarray]()
    for batch in explained:
        names += batch.batch.names
        conditions += [instance.condition for instance in batch.instances]
        scores.append(draws_of_heads(batch.gold))
    return HeadScores(tuple(names), tuple(conditions), np.concatenate(scores))


def _masks(
    scores: Float[np.ndarray, "batch draws layers heads"], steps: int, most_first: bool, per_layer: bool = False
) -> Bool[np.ndarray, "batch draws steps_and_one layers heads"]:
    return np.array([[kept_heads(score, steps, most_first, per_layer) for score in draws] for draws in scores])


def _gaps(explained: ExplainedBatch, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Score rows of the area of least-first minus that of most-first."""
    areas = {(r["instance"], r["draw"], r["variant"]): r["value"] for r in rows if r["variant"].endswith("/auc")}
    for instance in explained.instances:
        for draw in sorted({draw for name, draw, _ in areas if name == instance.id}):
            least, most = (areas[instance.id, draw, f"{order}/auc"] for order in ORDERS)
            yield score_row(instance, "gap", least - most, draw)
