"""Accuracy against the share of nodes kept, or removed, so that no method sets the budget.

Variants, for each budget b in percent of the N nodes of each layer:

    budget/<b>       share of instances that are right with b % of the nodes kept (removed)
    auc              area under the curve of an instance over the budgets, by trapezoids, as a share of the range (0 to 1)
    auc/agreement    the same for agreement with the whole model's prediction
    heads/<these>    the same for b % of the L A heads instead of nodes, where the method scores heads

A method that scores heads but no nodes has an undefined `auc`, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from ...core.errors import NotApplicable, UsageError
from ...methods.explanation import Explanation
from ...methods.views import Select, head_scores, score_nodes
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import Subgraph
from ..base import ExplainedBatch, Scores, frame, score_row
from ..operators import POOLING, Operator, StandIn, check_operator, stand_ins
from ..reduced_models.heads import area, curve_rows
from ..reduced_models.nodes import ablated_predictions, clean_predictions
from ..registry import metric

Guide = Literal["gold", "predicted"]


@metric(
    "retention_curve",
    reads="nodes",
    ranked="auc",
    higher_is_better=True,
    unit="share of instances",
    bounds=(0.0, 1.0),
    source="flowgauge; after Lu et al. 2021, section 4.4",
)
@dataclass(frozen=True)
class RetentionCurve:
    """Accuracy when only the top share of each layer's nodes is kept, and its area.

    At hidden[l], l = 0..L-1, the ceil(b N) nodes with the largest score stay (`views.score_nodes`; lower positions win ties)
    and the others are replaced (by zeros); at hidden[L] the target alone. Where heads are scored (`views.head_scores`), so for
    the context vectors of the ceil(b L A) best heads. In [0, 1]; higher is better.

    Attributes:
        steps: Budgets, evenly spaced up to 100 %.
        guide: Whose explanation sets the ranking: `predicted` has no leakage.
        select: Whether nodes that work against q come last (`signed`) or by their size (`absolute`).
        operator: What stands in for what is not kept: `zero`, `mean`, `resample`, `mask` or `cut` (metrics/operators.py).
        seed: Of the instances that are resampled from.
    """

    steps: int = 20
    guide: Guide = "predicted"
    select: Select = "signed"
    operator: Operator = "zero"
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.steps, self.guide, self.select)
        check_operator(self.operator)

    @property
    def pools(self) -> bool:
        """Whether an instance's score rests on others."""
        return self.operator in POOLING

    def score(self, model: FlowModel, shown: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One row an (instance, budget, draw), and one for the area."""
        return _curve(model, shown, self, keep=True)


@metric(
    "deletion_curve",
    reads="nodes",
    ranked="auc",
    higher_is_better=False,
    unit="share of instances",
    bounds=(0.0, 1.0),
    source="flowgauge; after Samek et al. 2017 (region perturbation)",
)
@dataclass(frozen=True)
class DeletionCurve:
    """Accuracy when the top share of each layer's nodes is removed, and its area.

    As `retention_curve`, with the nodes that it would keep at hidden[0..L-1], or the heads, replaced instead. In [0, 1]; lower is
    better.

    Attributes:
        steps: Budgets, evenly spaced up to 100 %.
        guide: Whose explanation sets the ranking: `predicted` has no leakage.
        select: Whether nodes that work against q come last (`signed`) or by their size (`absolute`).
        operator: What stands in for what is not kept: `zero`, `mean`, `resample`, `mask` or `cut` (metrics/operators.py).
        seed: Of the instances that are resampled from.
    """

    steps: int = 20
    guide: Guide = "predicted"
    select: Select = "signed"
    operator: Operator = "zero"
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.steps, self.guide, self.select)
        check_operator(self.operator)

    @property
    def pools(self) -> bool:
        """Whether an instance's score rests on others."""
        return self.operator in POOLING

    def score(self, model: FlowModel, shown: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One row an (instance, budget, draw), and one for the area."""
        return _curve(model, shown, self, keep=False)


def _check(steps: int, guide: str, select: str) -> None:
    if steps < 2:
        raise UsageError(f"a curve needs at least 2 budgets, got steps={steps}.")
    if guide not in ("gold", "predicted"):
        raise UsageError(f"guide must be gold or predicted, got {guide!r}.")
    if select not in ("signed", "absolute"):
        raise UsageError(f"select must be signed or absolute, got {select!r}.")


def _curve(model: FlowModel, shown: Sequence[ExplainedBatch], asked: RetentionCurve | DeletionCurve, keep: bool) -> Scores:
    stands_in = stand_ins(model, shown, asked.operator, asked.seed)
    rows: list[dict[str, Any]] = []
    for batch in shown:
        if batch.batch.target is None:
            raise NotApplicable("q reads several positions, and the reduced model keeps one at the last layer.")
        stand_in = stands_in(batch.batch)
        why = {batch.instances[row].id: reason for row, reason in stand_in.without.items()}
        for row in _batch(model, batch, asked, keep, stand_in):
            rows.append(row | {"value": np.nan, "reason": why[row["instance"]]} if row["instance"] in why else row)
    return Scores(frame(rows))


def _batch(
    model: FlowModel, shown: ExplainedBatch, asked: RetentionCurve | DeletionCurve, keep: bool, stand_in: StandIn
) -> list[dict[str, Any]]:
    """Rows by nodes and by heads, whichever can be had."""
    made = shown.predicted if asked.guide == "predicted" else shown.gold
    try:
        nodes = list(_by_nodes(model, shown, made, asked.steps, asked.select, keep, stand_in))
    except NotApplicable as reason:
        try:
            heads = list(_by_heads(model, shown, made, asked.steps, asked.select, keep, stand_in))
        except NotApplicable:
            raise reason from None
        return [*heads, *(score_row(instance, "auc", np.nan, reason=f"{reason} See heads/auc.") for instance in shown.instances)]
    with suppress(NotApplicable):
        nodes += _by_heads(model, shown, made, asked.steps, asked.select, keep, stand_in)
    return nodes


def _by_nodes(
    model: FlowModel,
    shown: ExplainedBatch,
    made: Sequence[Explanation],
    steps: int,
    select: Select,
    keep: bool,
    stand_in: StandIn,
) -> Iterator[dict[str, Any]]:
    assert shown.batch.target is not None
    asked, row = [], []
    for number, (size, target) in enumerate(zip(shown.batch.lengths, shown.batch.target.tolist(), strict=True)):
        for one in made[number].each():
            asked += [Subgraph(nodes) for nodes in budget_masks(one, size, target, steps, keep, select)]
            row += [number] * steps
    found = ablated_predictions(model, shown.batch, row, asked, stand_in)
    gold, clean = shown.batch.answer.cpu().numpy()[row], clean_predictions(model, shown.batch)[row]
    correct, agrees = ((found == wanted).all(1).astype(float).reshape(-1, steps) for wanted in (gold, clean))
    draw_of = [(number, draw) for number in range(len(made)) for draw in range(len(made[number].each()))]
    for (number, draw), right, same in zip(draw_of, correct, agrees, strict=True):
        instance = shown.instances[number]
        for budget, value in zip(_budgets(steps), right, strict=True):
            yield score_row(instance, budget, float(value), draw)
        yield score_row(instance, "auc", area(right), draw)
        yield score_row(instance, "auc/agreement", area(same), draw)


def _by_heads(
    model: FlowModel,
    shown: ExplainedBatch,
    made: Sequence[Explanation],
    steps: int,
    select: Select,
    keep: bool,
    stand_in: StandIn,
) -> Iterator[dict[str, Any]]:
    kept = np.array([[head_masks(head_scores(one), steps, keep, select) for one in each.each()] for each in made])
    return curve_rows(model, shown, {"heads": kept}, _budgets(steps), stand_in)


def _budgets(steps: int) -> list[str]:
    return [f"budget/{100 * step / steps:g}" for step in range(1, steps + 1)]


def budget_masks(
    explanation: Explanation, size: int, target: int, steps: int, keep: bool, select: Select = "signed"
) -> Bool[np.ndarray, "steps depths tokens"]:
    """The nodes left at each budget.

    Raises:
        NotApplicable: Nodes cannot be ranked from the explanation.
    """
    score = score_nodes(explanation, size, target, select)
    place = np.argsort(np.argsort(-score, axis=1, kind="stable"), axis=1)
    counts = -(-np.arange(1, steps + 1) * size // steps)
    nodes: np.ndarray = (place < counts[:, None, None]) == keep
    nodes[:, -1] = np.arange(size) == target
    return nodes


def head_masks(
    score: Float[np.ndarray, "layers heads"], steps: int, keep: bool, select: Select = "signed"
) -> Bool[np.ndarray, "steps layers heads"]:
    """The heads left at each budget, of all layers together; lower layers and heads win ties."""
    size = np.abs(score) if select == "absolute" else score
    place = np.argsort(np.argsort(-size, axis=None, kind="stable")).reshape(score.shape)
    counts = -(-np.arange(1, steps + 1) * score.size // steps)
    found: np.ndarray = (place < counts[:, None, None]) == keep
    return found
