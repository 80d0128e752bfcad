"""The results of a run as Python and a notebook show them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..benchmark.store.results import RunRecords
from ..benchmark.store.store import Store
from ..core.errors import UnknownName, UsageError, listing, shortened
from ..leaderboards.stored.score_table import without_version
from ..methods.explanation import Explanation
from ..tasks.instance import Label
from .rankings import RankedMetric, metrics_in, rankings

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Results(RunRecords):
    """The cells of a run, with what they hold: tables of scores, explanations, a page for notebooks.

    Attributes:
        store: URL of the store.
        records: One a cell, in the plan's order.
    """

    def __repr__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in Counter(record.status for record in self.records).items())
        named = (("tasks", self.tasks), ("methods", self.methods))
        parts = [f"{what}: {listing(names)}" for what, names in named if names]
        parts += [f"scored with {len(self.metrics)} metric{'s' * (len(self.metrics) != 1)}"] if self.metrics else []
        head = f"{len(self.records)} cells in {shortened(self.store, 100)!r}, {states or 'none'}"
        return f"Results({'; '.join([head, *([shortened('; '.join(parts), 500)] if parts else [])])})"

    @property
    def tasks(self) -> list[str]:
        """The tasks, in the plan's order."""
        return list(dict.fromkeys(record.task for record in self.records))

    @property
    def methods(self) -> list[str]:
        """The methods, in the plan's order."""
        return list(dict.fromkeys(record.method for record in self.records))

    @property
    def metrics(self) -> list[str]:
        """The metrics that any cell has a score of."""
        return metrics_in(self.records)

    def rankings(self, metric: str = "") -> list[RankedMetric]:
        """The methods of every model and task on a metric, with the numbers of `flowgauge compare`.

        Args:
            metric: Its name, also with its version as in `to_pandas`; empty: the one that tables rank by, else the first.

        Raises:
            UnknownName: No cell has a score of it.
        """
        known, metric = self.metrics, without_version(metric, self.records)
        if metric and metric not in known:
            raise UnknownName("metric of these results", metric, known)
        return rankings(Store(self.store), self.records, metric or known[0]) if known else []

    def explanations(self, method: str, task: str = "", *, seed: int | None = None, label: Label = "gold") -> list[Explanation]:
        """The explanations by one method, in the task's order.

        Args:
            method: The method's name.
            task: The task's name; empty: the only one.
            seed: The seed of the cell; None: the first.
            label: About the `gold` or about the `predicted` answer.

        Returns:
            One explanation an instance; `results.cell(record).sentences()` has the instances in the same order.

        Raises:
            UnknownName: No cell of the method, of the task or of the seed.
            UsageError: Several tasks and none named, or cells of several models or settings.
        """
        known = {"method": self.methods, "task": self.tasks}
        for what, name in (("method", method), ("task", task)):
            if name and name not in known[what]:
                raise UnknownName(f"{what} of these results", name, known[what])
        if not task and len(known["task"]) > 1:
            raise UsageError(f"these results are of {len(known['task'])} tasks: name one of {listing(known['task'])}.")
        cells = [r for r in self.records if r.method == method and task in ("", r.task)]
        if not cells:
            raise UsageError(f"these results have no cell of {method} on {task}: run it.")
        seeds = [r.seed for r in cells]
        cells = [r for r in cells if r.seed in (None, seeds[0] if seed is None else seed)]  # without a seed, all are the same
        if not cells:
            raise UnknownName(f"seed of {method} in these results", str(seed), map(str, seeds))
        if len(cells) > 1:
            raise UsageError(f"these results have {len(cells)} cells of {method}: read one with `results.cell(record)`.")
        cell = self.cell(cells[0])
        gold, predicted = cell.explanations(list(cell.sentences()))
        return list(gold if label == "gold" else predicted)

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(self, name: str = "") -> str:
        """The ranked tables as HTML for a notebook or a larger page, one tab a metric, without scripts and outside files.

        Args:
            name: Begins the identifiers within; they must differ between two pages of one document. Empty: a new one each time.
        """
        from .page import results_html

        return results_html(self, name)

    def plot(self, metric: str = "") -> Figure:
        """Means with their 95 % intervals, a panel for every model and task, the best method on top.

        Args:
            metric: Its name, also with its version as in `to_pandas`; empty: the one that tables rank by, else the first.

        Raises:
            UnknownName: No cell has a score of it.
            UsageError: There are no scores.
        """
        from .pictures import ranking_figure

        ranked = [each for each in self.rankings(metric) if each.ranking.scores.methods]
        if not ranked:
            raise UsageError("there are no scores to draw: name a metric, or look at `results.failed`.")
        return ranking_figure(ranked)
