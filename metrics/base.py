"""What a metric takes and gives: explained batches and scores, and the protocol of metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from ..methods.explanation import Explanation
from ..models.batch import Batch
from ..models.flow.flow_model import FlowModel
from ..models.flow.graph import Patterns
from ..tasks.instance import Instance
from .scores import COLUMNS, Aggregate, Scores, frame, score_row

__all__ = ["COLUMNS", "Aggregate", "ExplainedBatch", "Metric", "Scope", "Scores", "frame", "score_row"]

Scope = Literal["instance", "set", "cells"]


@dataclass(frozen=True, eq=False)
class ExplainedBatch:
    """One batch of explained instances.

    Attributes:
        batch: The batch that the method explained, with gold answers.
        predicted_batch: The same rows with q taken for the class that the model predicts on the clean input.
        instances: The task's instances, with what is known of them in `truth`.
        gold: One explanation an instance, of the gold answer.
        predicted: One explanation an instance, of the predicted answer (the same object where the prediction is right).
        explain: `explain(batch)` runs the method again, on other inputs, and `explain(batch, model)` on another model than the
            explained one; None where only stored explanations are scored.
    """

    batch: Batch
    predicted_batch: Batch
    instances: tuple[Instance, ...]
    gold: tuple[Explanation, ...]
    predicted: tuple[Explanation, ...]
    explain: Callable[..., list[Explanation]] | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.batch), len(self.predicted_batch), len(self.instances), len(self.gold), len(self.predicted)}
        if len(sizes) != 1:
            raise ValueError(f"an explained batch must have one explanation an instance, got sizes {sorted(sizes)}.")

    def draws(self, answer: Literal["gold", "predicted"] = "gold") -> Iterator[ExplainedDraw]:
        """Every draw of every explanation of one of the two answers, instance by instance."""
        for row, (instance, explanation) in enumerate(zip(self.instances, getattr(self, answer), strict=True)):
            for draw, scored in enumerate(explanation.each()):
                yield ExplainedDraw(self, row, instance, draw, scored)


class ExplainedDraw(NamedTuple):
    """One draw of the explanation of an instance, which has no draws of its own; `row` is the instance's in its batch."""

    explained: ExplainedBatch
    row: int
    instance: Instance
    draw: int
    explanation: Explanation

    @property
    def size(self) -> int:
        """Number of real tokens of the instance."""
        return self.explained.batch.lengths[self.row]

    @property
    def target(self) -> int:
        """The position that q reads, counted from 0 among the tokens of the gold answer's batch.

        Only where q reads one position: a batch of a span head has no target, which fails here.
        """
        assert self.explained.batch.target is not None
        return int(self.explained.batch.target[self.row])

    @property
    def patterns(self) -> Patterns:
        """The patterns of an explanation that has some."""
        assert self.explanation.patterns is not None
        return self.explanation.patterns

    def score_rows(self, variants: Mapping[str, tuple[float, str]]) -> Iterator[dict[str, Any]]:
        """Score rows of the value of each variant, or NaN and why it is undefined."""
        for name, (value, reason) in variants.items():
            yield score_row(self.instance, name, value, self.draw, reason)


class BatchMetric:
    """Base class of metrics that score every batch by itself."""

    def score(self, model: Any, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance, variant and draw."""
        return Scores(frame([row for batch in explained for row in self.batch_rows(model, batch)]))

    def batch_rows(self, model: Any, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """The score rows of one batch.

        Args:
            model: The model that was explained.
            explained: The batch.

        Raises:
            NotApplicable: With the reason, where the explanations lack the view or the model what the metric needs.
        """
        raise NotImplementedError


class Metric(Protocol):
    """One question about explanations.

    Attributes:
        name: The metric's name on the command line.
        version: Raised by any change that moves scores.
        scope: `instance` (a number for each instance), `set` (a number for all) or `cells` (a number for several cells).
        reads: The view that the metric needs; views are derived from each other where they can be (`views.py`).
        higher_is_better: None where neither end is better.
        bounds: Smallest and largest possible value, None where unbounded.
        unit: Such as `share of instances`.
        source: The publication and section that define the metric.
        reference: Name of the method whose budget the metric matches, or None.
        ranked: The variant that tables and rankings use; empty: the first.
        pools: Whether the score of an instance depends on the other explained instances (optional, False).
    """

    name: str
    version: int
    scope: Scope
    reads: str
    higher_is_better: bool | None
    bounds: tuple[float | None, float | None]
    unit: str
    source: str
    reference: str | None
    ranked: str

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """Scores every instance.

        Args:
            model: The model that was explained.
            explained: The explained instances, batch by batch.
            reference: The same instances, explained by the method that `reference` names; None without one.

        Raises:
            NotApplicable: With the reason, where the explanations lack the view or the model what the metric needs.
        """
        ...
