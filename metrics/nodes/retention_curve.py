"""Accuracy against the share of nodes kept, or removed, so that no method sets the budget.

Variants, for each budget b in percent of the N nodes of each layer:

    budget/<b>       share of instances that are right with b % of the nodes kept (removed)
    auc              area under an instance's curve over the budgets, by trapezoids, as a share of the range (0 to 1)
    auc/agreement    the same for agreement with the whole model's prediction
    heads/<these>    the same for b % of the L A heads instead of nodes, where the method scores heads

A method that scores heads but no nodes has an undefined `auc`, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.explanation import Explanation
from ...methods.views import Select, head_scores, score_nodes
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import Subgraph
from ...models.interventions.ablation import POOLING, ReplacedStates, StateReplacement, replaced_states
from ..base import ExplainedBatch, Scores, frame, score_row
from ..reduced_models.heads import curve_rows, pruning_rows
from ..reduced_models.nodes import SEVERAL_TARGETS, ablated_predictions, clean_predictions
from ..registry import metric

Guide = Literal["gold", "predicted"]


@dataclass(frozen=True)
class _Curve(Settings):
    """The settings and the computation that both curves share.

    Attributes:
        steps: Number of budgets, evenly spaced up to 100 %.
        guide: The answer whose explanation sets the ranking: `predicted` does not leak the gold answer.
        select: Whether nodes that work against q come last (`signed`) or are ranked by their size (`absolute`).
        operator: What replaces the states that are not kept: `zero`, `mean`, `resample`, `mask` or `cut`
            (models/interventions/ablation.py).
        seed: Of the choice of the instances that are resampled from.
        keep: Whether the top share is what is kept, or what is removed.
    """

    steps: Annotated[int, Field(ge=2)] = 20
    guide: Guide = "predicted"
    select: Select = "signed"
    operator: StateReplacement = "zero"
    seed: int = 0
    keep: ClassVar[bool]

    @property
    def pools(self) -> bool:
        """Whether the score of an instance depends on the other instances."""
        return self.operator in POOLING

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance, budget and draw, and one for the area.

        Raises:
            NotApplicable: q reads several positions, or neither nodes nor heads can be ranked.
        """
        replaced = replaced_states(model, (batch.batch for batch in explained), self.operator, self.seed)
        rows: list[dict[str, Any]] = []
        for batch in explained:
            if batch.batch.target is None:
                raise NotApplicable(SEVERAL_TARGETS)
            rows += self._rows(model, batch, replaced(batch.batch))
        return Scores(frame(rows))

    def _rows(self, model: FlowModel, explained: ExplainedBatch, replaced: ReplacedStates) -> Iterator[dict[str, Any]]:
        """The rows of a batch; those of instances whose states have no replacement are undefined."""
        reasons = {explained.instances[row].id: reason for row, reason in replaced.undefined.items()}
        for row in self._defined_rows(model, explained, replaced):
            reason = reasons.get(row["instance"])
            yield row if reason is None else row | {"value": np.nan, "reason": reason}

    def _defined_rows(self, model: FlowModel, explained: ExplainedBatch, replaced: ReplacedStates) -> list[dict[str, Any]]:
        """Rows by nodes and by heads, whichever the explanations rank."""
        try:
            nodes = list(self._by_nodes(model, explained, replaced))
        except NotApplicable as reason:
            try:
                heads = list(self._by_heads(model, explained, replaced))
            except NotApplicable:
                raise reason from None
            undefined = (
                score_row(instance, "auc", np.nan, reason=f"{reason} See heads/auc.") for instance in explained.instances
            )
            return [*heads, *undefined]
        with suppress(NotApplicable):
            nodes += self._by_heads(model, explained, replaced)
        return nodes

    def _by_nodes(self, model: FlowModel, explained: ExplainedBatch, replaced: ReplacedStates) -> Iterator[dict[str, Any]]:
        cases, kept = list(explained.draws(self.guide)), list[Subgraph]()
        for case in cases:
            masks = budget_masks(case.explanation, case.size, case.target, self.steps, self.keep, self.select)
            kept += [Subgraph(nodes) for nodes in masks]
        row = [case.row for case in cases for _ in range(self.steps)]
        predicted = ablated_predictions(model, explained.batch, row, kept, replaced)
        gold, clean = explained.batch.answer.cpu().numpy()[row], clean_predictions(model, explained.batch)[row]
        correct, agrees = ((predicted == answer).all(1).astype(float).reshape(-1, self.steps) for answer in (gold, clean))
        for case, right, same in zip(cases, correct, agrees, strict=True):
            yield from curve_rows(case.instance, "", self._budgets, right, same, case.draw)

    def _by_heads(self, model: FlowModel, explained: ExplainedBatch, replaced: ReplacedStates) -> Iterator[dict[str, Any]]:
        kept = [
            [head_masks(head_scores(scored), self.steps, self.keep, self.select) for scored in explanation.each()]
            for explanation in (explained.predicted if self.guide == "predicted" else explained.gold)
        ]
        return pruning_rows(model, explained, {"heads": np.array(kept)}, self._budgets, replaced)

    @property
    def _budgets(self) -> list[str]:
        return [f"budget/{100 * step / self.steps:g}" for step in range(1, self.steps + 1)]


@metric(
    "retention_curve",
    reads="nodes",
    ranked="auc",
    higher_is_better=True,
    unit="share of instances",
    bounds=(0.0, 1.0),
    source="flowgauge; after Lu et al. 2021, section 4.4",
    misleads="Where states become zeros, accuracy need not grow with the budget (.98 with 10 % of the nodes and .75 with 80 % "
    "on an agreement model), and the area then measures how the model bears missing states: see `ablation_shift`. Every layer "
    "keeps the same share, which suits no method in particular.",
)
@dataclass(frozen=True)
class RetentionCurve(_Curve):
    """Accuracy when only the top share of each layer's nodes is kept, and its area.

    At hidden[l], l = 0..L-1, the ceil(b N) nodes with the largest score stay (`views.score_nodes`; lower positions win ties)
    and the rest are replaced (by zeros); at hidden[L] only the target stays. Where heads are scored (`views.head_scores`), the
    same is done with the context vectors of the ceil(b L A) best heads. In [0, 1]; higher is better.
    """

    keep: ClassVar[bool] = True


@metric(
    "deletion_curve",
    reads="nodes",
    ranked="auc",
    higher_is_better=False,
    unit="share of instances",
    bounds=(0.0, 1.0),
    source="flowgauge; after Samek et al. 2017 (region perturbation)",
    misleads="Accuracy may fall because states are missing rather than because of what they held (Hooker et al. 2019). Where "
    "two states hold the same, removing one of them changes nothing.",
)
@dataclass(frozen=True)
class DeletionCurve(_Curve):
    """Accuracy when the top share of each layer's nodes is removed, and its area.

    As `retention_curve`, with the nodes that it would keep at hidden[0..L-1], or the heads, replaced instead. In [0, 1]; lower is
    better.
    """

    keep: ClassVar[bool] = False


def budget_masks(
    explanation: Explanation, size: int, target: int, steps: int, keep: bool, select: Select = "signed"
) -> Bool[np.ndarray, "steps depths tokens"]:
    """The nodes left at each budget.

    Args:
        explanation: One draw.
        size: Number of tokens N.
        target: The position that q reads, which alone is left at hidden[L].
        steps: Number of budgets, evenly spaced up to 100 %.
        keep: Whether the top nodes are left, or all but these.
        select: As for the metric.

    Raises:
        NotApplicable: Nodes cannot be ranked from the explanation.
    """
    score = score_nodes(explanation, size, target, select)
    rank = np.argsort(np.argsort(-score, axis=1, kind="stable"), axis=1)
    counts = -(-np.arange(1, steps + 1) * size // steps)
    nodes: np.ndarray = (rank < counts[:, None, None]) == keep
    nodes[:, -1] = np.arange(size) == target
    return nodes


def head_masks(
    score: Float[np.ndarray, "layers heads"], steps: int, keep: bool, select: Select = "signed"
) -> Bool[np.ndarray, "steps layers heads"]:
    """The heads left at each budget, of all layers together; lower layers and heads win ties.

    >>> head_masks(np.array([[3.0, 1.0]]), 2, keep=True).tolist()
    [[[True, False]], [[True, True]]]
    """
    size = np.abs(score) if select == "absolute" else score
    rank = np.argsort(np.argsort(-size, axis=None, kind="stable")).reshape(score.shape)
    counts = -(-np.arange(1, steps + 1) * score.size // steps)
    kept: np.ndarray = (rank < counts[:, None, None]) == keep
    return kept
