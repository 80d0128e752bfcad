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
import torch

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.explanation import Explanation
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import Subgraph
from ...models.interventions.ablation import POOLING, ReplacedStates, StateReplacement, replaced_states
from ...tasks.instance import Instance
from ..base import ExplainedBatch, Scores, frame, score_row
from ..reduced_models.nodes import SEVERAL_TARGETS, ablated_predictions, clean_predictions
from ..registry import metric
from .node_budgets import Budget, ReferenceBudget, every_later_node, kept_nodes, kept_units, reference_budget, with_target

RANKED = "embedding/matched/predicted"
BUDGETS: tuple[Budget, ...] = ("matched", "own")
Guide = Literal["gold", "predicted"]


class ReducedModelRequest(NamedTuple):
    """A reduced model to run, or the reason why there is none. `{}` in the variant stands for the guide."""

    variant: str
    draw: int
    kept: Subgraph | None
    reason: str = ""


class ReducedModelResult(NamedTuple):
    """What a reduced model did: whether its prediction is right, and whether it is the whole model's (1 or 0)."""

    request: ReducedModelRequest
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
    misleads="A model with zeros for states is one that was never trained (`ablation_shift` measures how far off), and ranks can "
    "change with what replaces the states. "
    "Explanations of the gold answer leak it, so that the reduced model can exceed the whole one; and the reference, "
    "influence patterns, sets how many nodes every method may keep.",
)
@dataclass(frozen=True)
class AblatedAccuracy(Settings):
    """Accuracy of the model reduced to the nodes an explanation keeps, at a matched budget.

    Every node outside the retained set is replaced (by zeros, as published) from hidden[0] up; the sources of every method are
    the words of Pi_+ of the reference, hidden[L] is the target alone, and the layers between are matched. Guided by the gold
    answer it can exceed the original model: that is leakage, so rankings use the guide `predicted`. Source: Lu et al. 2021,
    section 4.4; the budget a layer is our reading of "the same number of nodes". In [0, 1]; higher is better.

    Attributes:
        keep_target: Keeps `hidden[l][target]` (and its skips) at every layer, whether or not a pattern passes through it.
        operator: What replaces the states that are not kept: `zero`, `mean`, `resample`, `mask` or `cut`
            (models/interventions/ablation.py).
        seed: Of the choice of the instances that are resampled from.
    """

    keep_target: bool = False
    operator: StateReplacement = "zero"
    seed: int = 0

    @property
    def pools(self) -> bool:
        """Whether the score of an instance depends on the other instances."""
        return self.operator in POOLING

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance, variant and draw."""
        if reference is None:
            raise NotApplicable("a matched budget needs the explanations of influence-patterns for the same instances.")
        replaced = replaced_states(model, (batch.batch for batch in explained), self.operator, self.seed)
        rows: list[dict[str, Any]] = []
        for batch, matched in zip(explained, reference, strict=True):
            rows += self._batch(model, batch, matched, replaced(batch.batch))
        return Scores(frame(rows))

    def _batch(
        self, model: FlowModel, explained: ExplainedBatch, reference: ExplainedBatch, replaced: ReplacedStates
    ) -> Iterator[dict[str, Any]]:
        if explained.batch.names != reference.batch.names:
            raise ValueError("the method and its reference have explained different instances.")
        if explained.batch.target is None:
            raise NotApplicable(SEVERAL_TARGETS)
        by_guide = [self._by_guide(model, explained, reference, row) for row in range(len(explained.batch))]
        clean = clean_predictions(model, explained.batch)
        gold = explained.batch.answer.cpu().numpy()
        every_request = [requests for guides in by_guide for requests in guides.values()]
        results = _run(model, explained, every_request, gold, clean, replaced)
        chance = 0.5 if explained.batch.pairwise else 1 / _competing_outputs(model, explained)
        for row, (instance, guides) in enumerate(zip(explained.instances, by_guide, strict=True)):
            yield score_row(instance, "original", float((clean[row] == gold[row]).all()))
            yield score_row(instance, "chance", chance)
            for guide in ("gold", "predicted"):
                requests = guides.get(guide, guides["gold"])
                yield score_row(instance, f"empty/{guide}", float(requests.empty))
                yield from _rows(instance, guide, results[id(requests)], replaced.undefined.get(row, ""))

    def _by_guide(
        self, model: FlowModel, explained: ExplainedBatch, reference: ExplainedBatch, row: int
    ) -> dict[Guide, _InstanceRequests]:
        """What is run for an instance, by guide; `predicted` is left out where it is the same as `gold`."""
        assert explained.batch.target is not None
        size, target = explained.batch.lengths[row], int(explained.batch.target[row])
        requests: dict[Guide, _InstanceRequests] = {}
        guides: tuple[tuple[Guide, Explanation, Explanation], ...] = (
            ("gold", explained.gold[row], reference.gold[row]),
            ("predicted", explained.predicted[row], reference.predicted[row]),
        )
        for guide, explanation, matched in guides:
            if guide == "predicted" and explanation is explained.gold[row] and matched is reference.gold[row]:
                continue
            budget = reference_budget(matched, size, model.n_heads, target)
            requests[guide] = _InstanceRequests(row, not len(budget.words), list(self._requests(explanation, budget)))
        return requests

    def _requests(self, explanation: Explanation, by: ReferenceBudget) -> Iterator[ReducedModelRequest]:
        yield ReducedModelRequest("control/positive-words/{}", 0, every_later_node(by))
        for draw, drawn in enumerate(explanation.each()):
            for budget in BUDGETS:
                for words, suffix in ((by.words, ""), (by.all_words, "/all-words")):
                    kept = self._kept(kept_nodes(drawn, by, budget, words), by.target)
                    yield ReducedModelRequest(f"embedding/{budget}/{{}}{suffix}", draw, kept)
                try:
                    kept = self._kept(kept_units(drawn, by, budget), by.target)
                except NotApplicable as reason:
                    yield ReducedModelRequest(f"attention/{budget}/{{}}", draw, None, str(reason))
                else:
                    yield ReducedModelRequest(f"attention/{budget}/{{}}", draw, kept)

    def _kept(self, kept: Subgraph, target: int) -> Subgraph:
        return with_target(kept, target) if self.keep_target else kept


@dataclass(frozen=True, eq=False)
class _InstanceRequests:
    """The reduced models of one instance under one guide; `empty` where Pi_+ has no word."""

    row: int
    empty: bool
    requests: list[ReducedModelRequest]


def _competing_outputs(model: FlowModel, explained: ExplainedBatch) -> int:
    """How many outputs compete for the prediction."""
    first = explained.batch.rows(torch.tensor([0], device=explained.batch.ids.device))
    return int(model.outputs(first)[0].shape[1])


def _run(
    model: FlowModel,
    explained: ExplainedBatch,
    instances: list[_InstanceRequests],
    gold: np.ndarray,
    clean: np.ndarray,
    replaced: ReplacedStates,
) -> dict[int, list[ReducedModelResult]]:
    """Runs every request together; results by the identity of their `_InstanceRequests`."""
    jobs = [(each.row, request.kept) for each in instances for request in each.requests if request.kept is not None]
    row = [index for index, _ in jobs]
    predicted = ablated_predictions(model, explained.batch, row, [kept for _, kept in jobs], replaced)
    correct, agrees = (iter((predicted == answer[row]).all(1).astype(float).tolist()) for answer in (gold, clean))
    return {
        id(each): [
            ReducedModelResult(request, np.nan, np.nan)
            if request.kept is None
            else ReducedModelResult(request, next(correct), next(agrees))
            for request in each.requests
        ]
        for each in instances
    }


def _rows(instance: Instance, guide: str, results: list[ReducedModelResult], undefined: str) -> Iterator[dict[str, Any]]:
    """Score rows of an instance under one guide; all are undefined where its states have no replacement."""
    for request, correct, agrees in results:
        variant = request.variant.format(guide)
        reason = request.reason or undefined
        yield score_row(instance, variant, np.nan if reason else correct, request.draw, reason)
        yield score_row(instance, f"{variant}/agreement", np.nan if reason else agrees, request.draw, reason)
        if guide == "predicted" and request.variant.count("/") == 2 and not request.variant.startswith("control"):
            yield _size_row(instance, request)


def _size_row(instance: Instance, request: ReducedModelRequest) -> dict[str, Any]:
    """The score row of how many nodes a layer are kept."""
    variant, kept = f"nodes/{request.variant.removesuffix('/{}')}", request.kept
    if kept is None:
        return score_row(instance, variant, np.nan, request.draw, request.reason)
    if kept.heads is not None and kept.skips is not None:
        return score_row(instance, variant, float((kept.heads.sum((1, 2)) + kept.skips.sum(1)).mean()), request.draw)
    between = kept.nodes[1:-1].sum(1)
    if not len(between):
        return score_row(instance, variant, np.nan, request.draw, "a model of one layer has no layers between the ends.")
    return score_row(instance, variant, float(between.mean()), request.draw)
