"""Accuracy of the model reduced to the nodes that an explanation keeps.

Variants (values are shares of instances unless said otherwise; <guide> is `gold` or `predicted`):

    embedding/matched/<guide>            as many nodes a layer as Pi_+ of the reference (`predicted` is ranked)
    embedding/own/<guide>                the method's own nodes for the words of Pi_+
    embedding/<budget>/<guide>/all-words the same for every traced word (control)
    attention/matched/<guide>            heads and skips too: as many a layer as Pi_+ of the reference
    attention/own/<guide>                the method's own
    control/positive-words/<guide>       the words of Pi_+ at hidden[0], then every node (control)
    <any of these>/agreement             same prediction as the whole model, instead of the right one
    original, chance                     the whole model; 1/2 where two outputs compete, else 1/outputs
    empty/<guide>                        Pi_+ has no word: nothing is kept, and the model is a constant
    nodes/embedding/<budget>             nodes kept a layer, mean over layers 1..L-1, guided by the prediction (count)
    nodes/attention/<budget>             heads and skips kept a layer, mean over all layers, guided by the prediction (count)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import Subgraph
from ...tasks.instance import Instance
from ..base import ExplainedBatch, Scores, frame, score_row
from ..operators import POOLING, Operator, StandIn, check_operator, stand_ins, undefined
from ..reduced_models.nodes import ablated_predictions, clean_predictions
from ..registry import metric
from .breakdown import by_condition, by_item
from .node_budgets import Budget, ReferenceBudget, every_later_node, kept_nodes, kept_units, reference_budget, with_target

__all__ = ["RANKED", "AblatedAccuracy", "by_condition", "by_item"]

RANKED = "embedding/matched/predicted"
BUDGETS: tuple[Budget, ...] = ("matched", "own")
Guide = Literal["gold", "predicted"]


class ReducedModelRequest(NamedTuple):
    """One reduced model to run, or the reason why it cannot be had. `{}` in the variant stands for the guide."""

    variant: str
    draw: int
    kept: Subgraph | None
    reason: str = ""


class ReducedModelResult(NamedTuple):
    """What a reduced model did."""

    ask: ReducedModelRequest
    correct: float
    agrees: float


@metric(
    "ablated_accuracy",
    reads="nodes",
    ranked=RANKED,
    higher_is_better=True,
    unit="share of instances",
    bounds=(0.0, 1.0),
    source="Lu et al. 2021, section 4.4",
    reference="influence-patterns",
)
@dataclass(frozen=True)
class AblatedAccuracy:
    """Accuracy of the model reduced to the nodes an explanation keeps, at a matched budget.

    Every node outside the retained set is replaced (by zeros, as published) from hidden[0] up; the sources of every method are
    the words of Pi_+ of the reference, hidden[L] is the target alone, and the layers between are matched. Guided by the gold
    answer it can exceed the original model: that is leakage, so rankings use the guide `predicted`. Source: Lu et al. 2021,
    section 4.4; the budget a layer is our reading of "the same number of nodes". In [0, 1]; higher is better.

    Attributes:
        keep_target: Keeps hidden[l][target] (and its skips) at every layer, whether or not a pattern passes through it.
        operator: What stands in for what is not kept: `zero`, `mean`, `resample`, `mask` or `cut` (metrics/operators.py).
        seed: Of the instances that are resampled from.
    """

    keep_target: bool = False
    operator: Operator = "zero"
    seed: int = 0

    def __post_init__(self) -> None:
        check_operator(self.operator)

    @property
    def pools(self) -> bool:
        """Whether an instance's score rests on others."""
        return self.operator in POOLING

    def score(self, model: FlowModel, shown: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One row an (instance, variant, draw)."""
        if reference is None:
            raise NotApplicable("a matched budget needs the explanations of influence-patterns.")
        stands_in = stand_ins(model, shown, self.operator, self.seed)
        rows: list[dict[str, Any]] = []
        for batch, matched in zip(shown, reference, strict=True):
            rows += self._batch(model, batch, matched, stands_in(batch.batch))
        return Scores(frame(rows))

    def _batch(
        self, model: FlowModel, shown: ExplainedBatch, reference: ExplainedBatch, stand_in: StandIn
    ) -> Iterator[dict[str, Any]]:
        if shown.batch.names != reference.batch.names:
            raise ValueError("the method and its reference were shown different instances.")
        if shown.batch.target is None:
            raise NotApplicable("q reads several positions, and the reduced model keeps one at the last layer.")
        asked = [self._guides(model, shown, reference, row) for row in range(len(shown.batch))]
        clean = clean_predictions(model, shown.batch)
        gold = shown.batch.answer.cpu().numpy()
        answers = _run(model, shown, [asks for guides in asked for asks in guides.values()], gold, clean, stand_in)
        chance = 0.5 if shown.batch.pairwise else 1 / _outputs(model, shown)
        for row, (instance, guides) in enumerate(zip(shown.instances, asked, strict=True)):
            yield score_row(instance, "original", float((clean[row] == gold[row]).all()))
            yield score_row(instance, "chance", chance)
            for guide in ("gold", "predicted"):
                asks = guides.get(guide, guides["gold"])
                yield from _rows(instance, guide, asks, answers[id(asks)], stand_in.without.get(row, ""))

    def _guides(self, model: FlowModel, shown: ExplainedBatch, reference: ExplainedBatch, row: int) -> dict[Guide, _Asks]:
        """What is asked for an instance, by guide; `predicted` is left out where it is the same as `gold`."""
        assert shown.batch.target is not None
        size, target = shown.batch.lengths[row], int(shown.batch.target[row])
        found: dict[Guide, _Asks] = {}
        for guide, mine, theirs in (("gold", shown.gold, reference.gold), ("predicted", shown.predicted, reference.predicted)):
            if guide == "predicted" and mine[row] is shown.gold[row] and theirs[row] is reference.gold[row]:
                continue
            by = reference_budget(theirs[row], size, model.n_heads, target)
            found[guide] = _Asks(row, not len(by.words), list(self._asks(mine[row], by)))  # type: ignore[index]
        return found

    def _asks(self, explanation: Explanation, by: ReferenceBudget) -> Iterator[ReducedModelRequest]:
        yield self._ask("control/positive-words/{}", 0, every_later_node(by))
        for draw, one in enumerate(explanation.each()):
            for budget in BUDGETS:
                yield self._ask(f"embedding/{budget}/{{}}", draw, kept_nodes(one, by, budget, by.words), by.target)
                yield self._ask(f"embedding/{budget}/{{}}/all-words", draw, kept_nodes(one, by, budget, by.all_words), by.target)
                try:
                    kept = kept_units(one, by, budget)
                except NotApplicable as reason:
                    yield ReducedModelRequest(f"attention/{budget}/{{}}", draw, None, str(reason))
                else:
                    yield self._ask(f"attention/{budget}/{{}}", draw, kept, by.target)

    def _ask(self, variant: str, draw: int, kept: Subgraph, target: int | None = None) -> ReducedModelRequest:
        return ReducedModelRequest(variant, draw, with_target(kept, target) if self.keep_target and target is not None else kept)


@dataclass(frozen=True, eq=False)
class _Asks:
    """What is asked for one instance under one guide."""

    row: int
    empty: bool
    asks: list[ReducedModelRequest]


def _outputs(model: FlowModel, shown: ExplainedBatch) -> int:
    """How many outputs compete."""
    import torch

    one = shown.batch.rows(torch.tensor([0], device=shown.batch.ids.device))
    return int(model.outputs(one)[0].shape[1])


def _run(
    model: FlowModel, shown: ExplainedBatch, asked: list[_Asks], gold: np.ndarray, clean: np.ndarray, stand_in: StandIn
) -> dict[int, list[ReducedModelResult]]:
    """Runs everything that is asked together; answers by the identity of their `_Asks`."""
    jobs = [(asks.row, ask.kept) for asks in asked for ask in asks.asks if ask.kept is not None]
    row = [r for r, _ in jobs]
    predicted = ablated_predictions(model, shown.batch, row, [kept for _, kept in jobs], stand_in)
    correct, agrees = (iter((predicted == wanted[row]).all(1).astype(float).tolist()) for wanted in (gold, clean))
    return {
        id(asks): [
            ReducedModelResult(ask, np.nan, np.nan) if ask.kept is None else ReducedModelResult(ask, next(correct), next(agrees))
            for ask in asks.asks
        ]
        for asks in asked
    }


def _rows(
    instance: Instance, guide: str, asks: _Asks, answers: list[ReducedModelResult], without: str
) -> Iterator[dict[str, Any]]:
    yield score_row(instance, f"empty/{guide}", float(asks.empty))
    for ask, correct, agrees in answers:
        name = ask.variant.format(guide)
        reason = ask.reason or without
        yield score_row(instance, name, undefined(correct, reason), ask.draw, reason)
        yield score_row(instance, f"{name}/agreement", undefined(agrees, reason), ask.draw, reason)
        if guide == "predicted" and ask.variant.count("/") == 2 and not ask.variant.startswith("control"):
            yield _size_row(instance, ask)


def _size_row(instance: Instance, ask: ReducedModelRequest) -> dict[str, Any]:
    """How many nodes a layer were kept."""
    name, kept, reason = f"nodes/{ask.variant.removesuffix('/{}')}", ask.kept, ask.reason
    if kept is None:
        return score_row(instance, name, np.nan, ask.draw, reason)
    if kept.heads is not None and kept.skips is not None:
        return score_row(instance, name, float((kept.heads.sum((1, 2)) + kept.skips.sum(1)).mean()), ask.draw)
    between = kept.nodes[1:-1].sum(1)
    if not len(between):
        return score_row(instance, name, np.nan, ask.draw, "a model of one layer has no layers between.")
    return score_row(instance, name, float(between.mean()), ask.draw)
