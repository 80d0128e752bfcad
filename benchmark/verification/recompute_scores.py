"""Recomputes scores from stored explanations without storing them: what a verifier holds a submission against."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import FlowgaugeError, NotApplicable, UsageError
from ...core.registry import Spec
from ...methods.explanation import Explanation
from ...methods.registry import METHODS
from ...metrics.scores import Scores
from ...metrics.summary import summarise
from ...models.batch import Batch
from ...models.inputs.encode import reseed
from ...models.zoo import ZOO
from ..engine import resolve
from ..engine.jobs import Job, JobGroup
from ..engine.prepared import PreparedBatches, encode_group
from ..engine.rescore import regroup
from ..engine.scoring import ExplainedBatches
from ..external.folder_format import is_outside
from ..store.key import canonical, method_key, metric_id, question
from ..store.record import Record, Score
from ..store.store import Store

DECLARED = ("version", "scope", "higher_is_better", "bounds", "unit")
BUNDLE_CODE_REFUSED = "code that comes with a bundle is not run: install it as a plug-in with an entry point."


@dataclass(eq=False)
class ScoreRecomputer:
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
    _groups: dict[str, tuple[JobGroup, PreparedBatches]] = field(default_factory=dict)

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
        again = _again(record, encodings.model)
        show = lambda job: ExplainedBatches(job.cell, encodings, len(encodings), again)  # noqa: E731
        if score.reference and score.reference not in jobs:
            raise FlowgaugeError(f"the cell {score.reference} that its budget is matched to is not there.")
        budget = resolve.reference_job(made, group.jobs)
        if score.reference != (budget.cell.folder if budget else ""):
            raise FlowgaugeError(f"its budget is matched to {score.reference or 'nothing'}, expected a cell of {made.reference}.")
        try:
            found: Scores = made.score(encodings.model, show(jobs[record.folder]), show(budget) if budget else None)
        except NotApplicable as reason:
            raise FlowgaugeError(f"here it is not applicable: {reason}") from reason
        _as_declared(score, made, found)
        _as_asked(jobs[record.folder], encodings)
        return found

    def encoded(self, store: Store, record: Record) -> tuple[JobGroup, PreparedBatches]:
        """The question's cells and batches on the verifier's model and task, made once.

        Raises:
            FlowgaugeError: Another model or other instances than explained, instances left out, a file of the submitter's.
        """
        name = canonical([store.url, record.model, question(record.key)])
        if name not in self._groups:
            self._groups.clear()  # one question at a time: batches and models take memory
            records = [r for r in store.records() if r.model == record.model and question(r.key) == question(record.key)]
            for kind in ("model", "task"):
                _no_file(kind, Spec.parse(records[0].asked.get(kind, "")))
            self._no_folder(records[0])
            group = regroup(store, records, self.model, self.data_dir, self.device, True)
            _named(record, group, self.model)
            key = record.key
            metrics: Sequence[Any] = ()
            encodings = encode_group(group, metrics, None, key["max_tokens"], key["on_split"])
            self._groups[name] = (group, encodings)
        group, encodings = self._groups[name]
        _whole(next(job for job in group.jobs if job.cell.folder == record.folder), encodings)
        return group, encodings

    def _no_folder(self, record: Record) -> None:
        """Raises: FlowgaugeError: Its model or data are a folder of the submitter's choice: the bundle itself could hold one."""
        for kind, ours, text in _folders(record):
            if ours not in ("model", "data_dir") or getattr(self, ours) is None:
                hint = f"; say where yours is with --{ours.replace('_', '-')}." if ours in ("model", "data_dir") else "."
                raise FlowgaugeError(
                    f"its {kind} names the folder {text[:100]!r}, and folders of the submitter's are not read{hint}"
                )


def _folders(record: Record) -> Iterator[tuple[str, str, str]]:
    """Folders that a record asks for: by its model or its task, in which place, and where."""
    for kind in ("model", "task"):
        spec = Spec.parse(record.asked.get(kind, ""))
        given = {**spec.settings, **({"model": spec.name} if kind == "model" and spec.name not in ZOO else {})}
        yield from ((kind, name, str(text)) for name, text in given.items() if Path(str(text)).expanduser().is_dir())


def _named(record: Record, group: JobGroup, model: str | None) -> None:
    """What a board shows is what was recomputed.

    Raises:
        FlowgaugeError: The record gives model or task another name or version.
    """
    task = group.task
    known = {"name": task.name, "version": task.version, "quantity": asdict(task.quantity)}
    for name, ours in known.items():
        if canonical(record.key["task"][name]) != canonical(ours):
            raise FlowgaugeError(f"the {name} of its task is {record.key['task'][name]!r}, here {ours!r}.")
    if model is None and record.model != group.model.shown:
        raise FlowgaugeError(f"its model is called {record.model!r}, and is {group.model.shown!r}.")


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


def method_of(record: Record) -> Any:
    """The method that a cell says it was explained with, as this flowgauge has it.

    Only what is registered here is made, never a file that a record names.

    Raises:
        NotApplicable: It came from outside, is not installed, or is another version or source here.
    """
    known: Mapping[str, Any] = record.key["method"]
    if is_outside(record):
        raise NotApplicable(f"its explanations were computed outside flowgauge, by {known['producer']}: there is nothing to run.")
    if record.method not in METHODS.entries():
        raise NotApplicable(f"the method {record.method!r} is not installed here.")
    try:
        made = METHODS.create(Spec(record.method, dict(known["settings"])))
    except UsageError as error:
        raise NotApplicable(f"here {record.method} cannot be made with its settings: {error}") from error
    ours = method_key(made)
    if ours != known:
        differs = [name for name in sorted({*ours, *known}) if ours.get(name) != known.get(name)]
        told = "; ".join(f"{name} is {canonical(ours.get(name))}, there {canonical(known.get(name))}" for name in differs)
        raise NotApplicable(f"here {record.method} is another: its {told}.")
    return made


def _again(record: Record, model: Any) -> Callable[[Batch], list[Explanation]] | None:
    """Explains moved inputs for metrics that ask for it; None where the method is not here, or would have to be trained first."""
    try:
        method = method_of(record)
    except NotApplicable:
        return None
    return None if hasattr(method, "fit") else lambda batch: method.explain(model, reseed(batch, record.seed or 0))


def _as_declared(score: Score, metric: Any, found: Scores) -> None:
    """What a score says of its metric decides how it is ranked and shown.

    Raises:
        FlowgaugeError: It says something else than the metric does.
    """
    ranked = metric.ranked or next((a.variant for a in found.aggregates or summarise(found.rows)), "")
    for name, ours in {**{name: getattr(metric, name) for name in DECLARED}, "ranked": ranked}.items():
        if getattr(score, name) != ours:
            raise FlowgaugeError(f"its {name} is {getattr(score, name)!r}, {score.metric} has {ours!r}.")


def _no_file(kind: str, spec: Spec) -> None:
    """Raises: FlowgaugeError: It is a Python file, or a setting is: a bundle could name any on the verifier's machine."""
    for text in (spec.name, *map(str, spec.settings.values())):
        if re.search(r"\.py(:|$)", text):
            raise FlowgaugeError(f"its {kind} {text[:100]!r} is a file of the submitter's, and {BUNDLE_CODE_REFUSED}")


def _whole(job: Job, encodings: PreparedBatches) -> None:
    """Every instance of the task is explained; hard ones cannot be left out.

    Raises:
        FlowgaugeError: Names the first that is not.
    """
    wanted = [name for batch in encodings.encoded.batches for name in batch.names]
    absent = [name for name in wanted if name not in job.cell.index]
    if absent:
        raise FlowgaugeError(f"{len(absent)} of {len(wanted)} instances of the task are not explained, first {absent[0]!r}.")


def _as_asked(job: Job, encodings: PreparedBatches) -> None:
    """What pages show of an instance is what the task has.

    Raises:
        FlowgaugeError: Names the first that is stored otherwise, and in what.
    """
    stored = job.cell.sentences()
    for number in range(len(encodings)):
        for ours in encodings(number).sentences:
            for name in ("condition", "tokens", "target", "answer", "against"):
                if getattr(stored[ours.id], name) != getattr(ours, name):
                    theirs = str(getattr(stored[ours.id], name))[:200]
                    raise FlowgaugeError(f"{name} of {ours.id!r} is stored as {theirs}, here {getattr(ours, name)}.")


def sampled(encodings: PreparedBatches, sample: int, seed: int) -> PreparedBatches:
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
    return PreparedBatches(
        encodings.model, replace(encodings.encoded, batches=tuple(batches), instances=tuple(instances)), encodings.labels
    )
