"""What came of the runs of a paper: plain data, read without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...core.registry import Spec
from ..store.record import Record
from .paper import ModelSize, NumberSource, Paper, PaperRun


@dataclass(frozen=True)
class RunOutcome:
    """What came of one run.

    Attributes:
        run: The run as its paper's file has it.
        methods: The methods that were asked for, by the name that tables use.
        metrics: The metrics likewise.
        model: The model, as results call it; empty where none was named.
        remark: How it relates to the paper's model, in two words; empty where it is the same.
        size: Its size; None where it is no transformer or was not looked up.
        records: One a cell.
        reason: Why nothing was run, if so.
    """

    run: PaperRun
    methods: Mapping[str, Spec]
    metrics: Mapping[str, Spec]
    model: str = ""
    remark: str = ""
    size: ModelSize | None = None
    records: tuple[Record, ...] = ()
    reason: str = ""

    @property
    def same_size(self) -> bool:
        """Whether the model has the size of the paper's."""
        return self.size is not None and self.size == self.run.published.shape

    @property
    def seconds(self) -> float:
        """Seconds that explaining and scoring took, of whichever command computed them."""
        costs = (record.cost.own_seconds for record in self.records if record.cost is not None)
        return sum(costs) + sum(score.seconds for record in self.records for score in record.scores.values())


@dataclass(frozen=True)
class Reproduction:
    """The runs of a paper.

    Attributes:
        paper: The paper.
        store: URL of the store with the cells.
        quick: Whether they are the small ones of `--quick`.
        outcomes: One a run, in the order of the paper's file.
    """

    paper: Paper
    store: str
    quick: bool
    outcomes: tuple[RunOutcome, ...]

    @property
    def exit_code(self) -> int:
        """1 if a cell failed."""
        return int(any(r.status in ("failed", "partial") for outcome in self.outcomes for r in outcome.records))

    def outcomes_of(self, source: NumberSource) -> tuple[RunOutcome, ...]:
        """What came of the runs that a source reads."""
        return tuple(outcome for outcome in self.outcomes if outcome.run.name in source.run_names)
