"""Recomputes scores from stored explanations without storing them: what a verifier holds a submission against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import FlowgaugeError, NotApplicable
from ..core.registry import Spec
from . import resolve
from .encodings import Encodings, encode_group
from .jobs import Group, Job
from .key import canonical, metric_id, question
from .record import Record
from .score import regroup
from .scoring import ShownCell
from .store import Store


@dataclass(eq=False)
class Recheck:
    """Recomputes rows of a metric for a seeded sample of a cell's instances.

    Attributes:
        model: Where the verifier has the model; None: as the record names it.
        data_dir: Where the verifier has published data.
        device: A torch device.
        seed: Of the sample.
    """

    model: str | None = None
    data_dir: str | None = None
    device: str = "auto"
    seed: int = 0
    _groups: dict[str, tuple[Group, Encodings]] = field(default_factory=dict)

    def __call__(self, store: Store, record: Record, metric: str, sample: int) -> pd.DataFrame:
        """Rows of `metric` as they come out here; where a score rests on the whole set, of all instances.

        Raises:
            FlowgaugeError: Another model or other instances than explained, instances left out, a metric or reference that is
                not here.
        """
        score = record.scores[metric]
        made = resolve.make_metrics([Spec(score.name, dict(score.settings))])[0]
        if metric_id(made) != metric:
            raise FlowgaugeError(f"{metric} is not among this flowgauge's metrics, which has {metric_id(made)}.")
        group, encodings = self._encoded(store, record)
        if score.scope == "instance" and not getattr(made, "pools", False):
            encodings = _sampled(encodings, sample, self.seed)
        jobs = {job.cell.folder: job for job in group.jobs}
        show = lambda job: ShownCell(job.cell, encodings, len(encodings))  # noqa: E731
        if score.reference and score.reference not in jobs:
            raise FlowgaugeError(f"the cell {score.reference} that its budget is matched to is not there.")
        reference = show(jobs[score.reference]) if score.reference else None
        try:
            rows: pd.DataFrame = made.score(encodings.model, show(jobs[record.folder]), reference).rows
        except NotApplicable as reason:
            raise FlowgaugeError(f"here it is not applicable: {reason}") from reason
        return rows

    def _encoded(self, store: Store, record: Record) -> tuple[Group, Encodings]:
        """The question's cells and batches, made once."""
        name = canonical([store.url, record.model, question(record.key)])
        if name not in self._groups:
            self._groups.clear()  # one question at a time: batches and models take memory
            records = [r for r in store.records() if r.model == record.model and question(r.key) == question(record.key)]
            group = regroup(store, records, self.model, self.data_dir, self.device, True)
            key = record.key
            metrics: Sequence[Any] = ()
            encodings = encode_group(group, metrics, None, key["max_tokens"], key["on_split"])
            self._groups[name] = (group, encodings)
        group, encodings = self._groups[name]
        _whole(next(job for job in group.jobs if job.cell.folder == record.folder), encodings)
        return group, encodings


def _whole(job: Job, encodings: Encodings) -> None:
    """Every instance of the task is explained; hard ones cannot be left out.

    Raises:
        FlowgaugeError: Names the first that is not.
    """
    wanted = [name for batch in encodings.encoded.batches for name in batch.names]
    absent = [name for name in wanted if name not in job.cell.index]
    if absent:
        raise FlowgaugeError(f"{len(absent)} of {len(wanted)} instances of the task are not explained, first {absent[0]!r}.")


def _sampled(encodings: Encodings, sample: int, seed: int) -> Encodings:
    """The same question for a seeded sample of its instances."""
    names = [(at, row) for at, batch in enumerate(encodings.encoded.batches) for row in range(len(batch))]
    if sample >= len(names):
        return encodings
    chosen = sorted(np.random.default_rng(seed).choice(len(names), sample, replace=False).tolist())
    batches, instances = [], []
    for at in range(len(encodings.encoded.batches)):
        rows = [names[i][1] for i in chosen if names[i][0] == at]
        if rows:
            batch = encodings.encoded.batches[at]
            batches.append(batch.rows(batch.ids.new_tensor(rows)))
            instances.append(tuple(encodings.encoded.instances[at][row] for row in rows))
    return Encodings(
        encodings.model, replace(encodings.encoded, batches=tuple(batches), instances=tuple(instances)), encodings.labels
    )
