"""What metrics of scope `cells` compare: explanations as stored, without the model. No torch.

Such a metric has `compare(*cells: ExplainedCell) -> tuple[Aggregate, ...]`, which raises `NotApplicable` with the reason where a
view cannot be had. With a class attribute `across` of `seeds` it is shown all cells that differ in their seed alone; without, two
cells of one method on two tasks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..methods.explanation import Explanation


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
