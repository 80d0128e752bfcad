"""What metrics of scope `cells` compare: explanations as stored, without the model. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from ..methods.explanation import Explanation
from .scores import Aggregate


@dataclass(frozen=True, eq=False)
class ExplainedCell:
    """The explanations of one cell.

    Attributes:
        names: Ids of the instances.
        conditions: Theirs.
        gold: One explanation an instance, of the gold answer; read from the store as one goes through them.
    """

    names: tuple[str, ...]
    conditions: tuple[str, ...]
    gold: Iterable[Explanation]

    def __post_init__(self) -> None:
        if not self.names or len(self.names) != len(self.conditions):
            raise ValueError(f"a cell needs a condition an instance, got {len(self.conditions)} for {len(self.names)}.")


class CellMetric(Protocol):
    """A metric of several cells of one method; besides `compare` it declares what `metrics.base.Metric` does.

    With a class attribute `across` of `seeds` it is shown all cells that differ in their seed alone; without, two cells of two
    tasks.
    """

    name: str
    version: int

    def compare(self, *cells: ExplainedCell) -> tuple[Aggregate, ...]:
        """The ranked variant and others; raises `NotApplicable` with the reason where the view cannot be had."""
        ...
