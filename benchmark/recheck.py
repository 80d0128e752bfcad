"""Recomputes scores from stored explanations without storing them: what a verifier holds a submission against."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..core.errors import FlowgaugeError, NotApplicable
from ..core.registry import Spec
from ..metrics.scores import Scores
from . import resolve
from .encodings import Encodings, encode_group
from .jobs import Group, Job
from .key import canonical, metric_id, question
from .record import Record, Score
from .score import regroup
from .scoring import ShownCell
from .store import Store

NOT_RUN = "code that comes with a bundle is not run: install it as a plug-in with an entry point."


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

    def __call__(self, store: Store, record: Record, metric: str, sample: int) -> Scores:
        """The metric as it comes out here; where a score rests on the whole set, of all instances.

        Raises:
            FlowgaugeError: Another model or other instances than explained, instances left out, a metric or reference that is
                not here.
        """
        score = record.scores[metric]
        made = metric_of(score)
        group, encodings = self.encoded(store, record)
        if score.scope == "instance" and not getattr(made, "pools", False):
            encodings = sampled(encodings, sample, self.seed)
        jobs = {job.cell.folder: job for job in group.jobs}
        show = lambda job: ShownCell(job.cell, encodings, len(encodings))  # noqa: E731
        if score.reference and score.reference not in jobs:
            raise FlowgaugeError(f"the cell {score.reference} that its budget is matched to is not there.")
        reference = show(jobs[score.reference]) if score.reference else None
        try:
            found: Scores = made.score(encodings.model, show(jobs[record.folder]), reference)
        except NotApplicable as reason:
            raise FlowgaugeError(f"here it is not applicable: {reason}") from reason
        return found

    def encoded(self, store: Store, record: Record) -> tuple[Group, Encodings]:
        """The question's cells and batches on the verifier's model and task, made once.

        Raises:
            FlowgaugeError: Another model or other instances than explained, instances left out, a file of the submitter's.
        """
        name = canonical([store.url, record.model, question(record.key)])
        if name not in self._groups:
            self._groups.clear()  # one question at a time: batches and models take memory
            for kind in ("model", "task"):
                _no_file(kind, Spec.parse(record.asked.get(kind, "")))
            records = [r for r in store.records() if r.model == record.model and question(r.key) == question(record.key)]
            group = regroup(store, records, self.model, self.data_dir, self.device, True)
            key = record.key
            metrics: Sequence[Any] = ()
            encodings = encode_group(group, metrics, None, key["max_tokens"], key["on_split"])
            self._groups[name] = (group, encodings)
        group, encodings = self._groups[name]
        _whole(next(job for job in group.jobs if job.cell.folder == record.folder), encodings)
        return group, encodings


def metric_of(score: Score) -> Any:
    """The metric that a score names.

    Raises:
        FlowgaugeError: It is not here, or of another version; or it is a file of the submitter's, which is not run.
    """
    _no_file("metric", Spec(score.name, score.settings))
    made = resolve.make_metrics([Spec(score.name, dict(score.settings))])[0]
    if metric_id(made) != score.metric:
        raise FlowgaugeError(f"{score.metric} is not among this flowgauge's metrics, which has {metric_id(made)}.")
    return made


def _no_file(kind: str, spec: Spec) -> None:
    """Raises: FlowgaugeError: It is a Python file, or a setting is: a bundle could name any on the verifier's machine."""
    for text in (spec.name, *map(str, spec.settings.values())):
        if re.search(r"\.py(:|$)", text):
            raise FlowgaugeError(f"its {kind} {text[:100]!r} is a file of the submitter's, and {NOT_RUN}")


def _whole(job: Job, encodings: Encodings) -> None:
    """Every instance of the task is explained; hard ones cannot be left out.

    Raises:
        FlowgaugeError: Names the first that is not.
    """
    wanted = [name for batch in encodings.encoded.batches for name in batch.names]
    absent = [name for name in wanted if name not in job.cell.index]
    if absent:
        raise FlowgaugeError(f"{len(absent)} of {len(wanted)} instances of the task are not explained, first {absent[0]!r}.")


def sampled(encodings: Encodings, sample: int, seed: int) -> Encodings:
    """The same question for a seeded sample of its instances, or for all where there are no more."""
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
