"""The values a metric takes and gives: `ExplainedBatch` batches of explained instances, and `Scores`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ..methods.explanation import Explanation
from ..models.batch import Batch
from ..models.flow.flow_model import FlowModel
from ..tasks.instance import Instance
from .scores import COLUMNS, Aggregate, Scores, frame, score_row

__all__ = ["COLUMNS", "Aggregate", "ExplainedBatch", "Metric", "Scope", "Scores", "frame", "score_row"]

Scope = Literal["instance", "set", "cells"]


@dataclass(frozen=True, eq=False)
class ExplainedBatch:
    """One batch of explained instances.

    Attributes:
        batch: As the method saw it, gold answers.
        predicted_batch: The same rows with q taken for the class the model predicts on the clean input.
        instances: The task's instances, planted answers included.
        gold: One explanation an instance of the gold quantity.
        predicted: One explanation an instance of the predicted quantity (the same object where the prediction is right).
        explain: Asks the method anew, about other inputs; None where only stored explanations are scored.
    """

    batch: Batch
    predicted_batch: Batch
    instances: tuple[Instance, ...]
    gold: tuple[Explanation, ...]
    predicted: tuple[Explanation, ...]
    explain: Callable[[Batch], list[Explanation]] | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.batch), len(self.predicted_batch), len(self.instances), len(self.gold), len(self.predicted)}
        if len(sizes) != 1:
            raise ValueError(f"a shown batch must have one explanation an instance, got sizes {sorted(sizes)}.")


class Metric(Protocol):
    """One question about explanations.

    Attributes:
        name: As on the command line.
        version: Raised by any change that moves scores.
        scope: `instance` (one number each), `set` (one number for all) or `cells` (over several cells).
        reads: The view it needs, or a view it can be derived from (`views.py`).
        higher_is_better: None where neither end is better.
        bounds: Smallest and largest possible value, None where unbounded.
        unit: Such as `share of instances`.
        source: Where the metric was defined.
        reference: Name of the method whose budget it is matched to, or None.
        ranked: The variant that tables and rankings use; empty: the first.
        pools: Whether the score of an instance rests on the others that are shown (optional, False).
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

    def score(self, model: FlowModel, shown: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """Scores every instance; raises `NotApplicable` with the reason where the view cannot be had."""
        ...
