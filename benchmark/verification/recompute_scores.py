"""Recomputes scores from stored explanations without storing them, so that a verifier can compare them with a submission."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
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
from ...models.shared_model import lent_copy
from ...models.zoo import ZOO
from ..engine.jobs import Job, JobGroup, reference_job
from ..engine.prepared import PreparedBatches, encode_group
from ..engine.rescore import regroup
from ..engine.resolve import make_metrics
from ..engine.scoring import ExplainedBatches
from ..external.folder_format import is_outside
from ..store.key import canonical, method_key, metric_id, question
from ..store.record import Record, Score
from ..store.store import Store
from .fetched_models import refuse_fetching

DECLARED = ("version", "scope", "higher_is_better", "bounds", "unit")
BUNDLE_CODE_REFUSED = "code that comes with a bundle is not run: install it as a plug-in with an entry point."


@dataclass(eq=False)
class ScoreRecomputer:
    """Recomputes rows of a metric for a seeded sample of a cell's instances.

    Attributes:
        model: Where the verifier has the model; None: where the record says.
        data_dir: Where the verifier has published data.
        device: A torch device.
        seed: Seed of the sample.
    """

    model: str | None = None
    data_dir: str | None = None
    device: str = "auto"
    seed: int = 0
    _groups: dict[str, tuple[JobGroup, PreparedBatches]] = field(default_factory=dict)

    def __call__(self, store: Store, record: Record, metric: str, sample: int) -> Scores:
        """A metric's scores as they are computed here.

        Args:
            store: The store of the cell.
            record: The cell's record.
            metric: Identity of the metric.
            sample: How many instances to score; a metric that pools instances scores all of them.

        Raises:
            FlowgaugeError: Another model or other instances than explained, instances left out, a metric or reference that is
                not here.
        """
        score = record.scores[metric]
        scorer = metric_of(score)
        group, batches = self.encoded(store, record)
        if score.scope == "instance" and not getattr(scorer, "pools", False):
            batches = sampled(batches, sample, self.seed)
        jobs = {job.cell.folder: job for job in group.jobs}
        explain = _explainer(record, batches.model)
        if score.reference and score.reference not in jobs:
            raise FlowgaugeError(f"the cell {score.reference} that its budget is matched to is not there.")
        budget = reference_job(scorer, group.jobs)
        if score.reference != (budget.cell.folder if budget else ""):
            raise FlowgaugeError(
                f"its budget is matched to {score.reference or 'nothing'}, expected a cell of {scorer.reference}."
            )
        explained = ExplainedBatches(jobs[record.folder].cell, batches, explain, scorer)
        reference = ExplainedBatches(budget.cell, batches, explain, scorer) if budget else None
        try:
            with batches.shared.lent_to(scorer):
                scores: Scores = scorer.score(batches.model, explained, reference)
        except NotApplicable as reason:
            raise FlowgaugeError(f"here it is not applicable: {reason}") from reason
        _check_declaration(score, scorer, scores)
        _check_sentences(jobs[record.folder], batches)
        return scores

    def encoded(self, store: Store, record: Record) -> tuple[JobGroup, PreparedBatches]:
        """The cells of a record's question and their batches, on the verifier's model and task; encoded once a question.

        Raises:
            FlowgaugeError: Another model or other instances than explained, instances left out, a file of the submitter's.
        """
        name = canonical([store.url, record.model, question(record.key)])
        if name not in self._groups:
            self._groups.clear()  # one question at a time: batches and models take memory
            records = [r for r in store.records() if r.model == record.model and question(r.key) == question(record.key)]
            for kind in ("model", "task"):
                _refuse_python_file(kind, Spec.parse(records[0].asked.get(kind, "")))
            self._refuse_folders(records[0])
            refuse_fetching(record, self.model)
            group = regroup(store, records, model=self.model, data_dir=self.data_dir, device=self.device)
            _check_names(record, group, self.model)
            self._groups[name] = (group, encode_group(group))
        group, batches = self._groups[name]
        _check_complete(next(job for job in group.jobs if job.cell.folder == record.folder), batches)
        return group, batches

    def _refuse_folders(self, record: Record) -> None:
        """Raises: FlowgaugeError: Its model or data are a folder of the submitter's choice: the bundle itself could hold one."""
        for kind, setting, text in _folders(record):
            if setting not in ("model", "data_dir") or getattr(self, setting) is None:
                hint = f"; say where yours is with --{setting.replace('_', '-')}." if setting in ("model", "data_dir") else "."
                raise FlowgaugeError(
                    f"its {kind} names the folder {text[:100]!r}, and folders of the submitter's are not read{hint}"
                )


def _folders(record: Record) -> Iterator[tuple[str, str, str]]:
    """Folders that a record names: whether its model or its task does, in which setting, and the folder."""
    for kind in ("model", "task"):
        spec = Spec.parse(record.asked.get(kind, ""))
        settings = {**spec.settings, **({"model": spec.name} if kind == "model" and spec.name not in ZOO else {})}
        yield from ((kind, name, str(text)) for name, text in settings.items() if Path(str(text)).expanduser().is_dir())


def _check_names(record: Record, group: JobGroup, model: str | None) -> None:
    """The names that a board shows are those of the model and the task that scores are recomputed with.

    Raises:
        FlowgaugeError: The record gives model or task another name or version.
    """
    task = group.task
    expected = {"name": task.name, "version": task.version, "quantity": asdict(task.quantity)}
    for name, value in expected.items():
        if canonical(record.key["task"][name]) != canonical(value):
            raise FlowgaugeError(f"the {name} of its task is {record.key['task'][name]!r}, here {value!r}.")
    if model is None and record.model != group.model.shown:
        raise FlowgaugeError(f"its model is called {record.model!r}, and is {group.model.shown!r}.")


def metric_of(score: Score) -> Any:
    """The metric that a score names.

    Raises:
        FlowgaugeError: It is not here, or of another version; or it is a file of the submitter's, which is not run.
    """
    _refuse_python_file("metric", Spec(score.name, score.settings))
    metric = make_metrics([Spec(score.name, dict(score.settings))])[0]
    if metric_id(metric) != score.metric:
        raise FlowgaugeError(f"{score.metric} is not among this flowgauge's metrics, which has {metric_id(metric)}.")
    return metric


def method_of(record: Record) -> Any:
    """The method that a cell says it was explained with, as this flowgauge has it.

    Only methods that are registered here are built, never one of a file that a record names.

    Raises:
        NotApplicable: It came from outside, is not installed, or is another version or source here.
    """
    stored: Mapping[str, Any] = record.key["method"]
    if is_outside(record):
        raise NotApplicable(
            f"its explanations were computed outside flowgauge, by {stored['producer']}: there is nothing to run."
        )
    if record.method not in METHODS.entries():
        raise NotApplicable(f"the method {record.method!r} is not installed here.")
    try:
        method = METHODS.create(Spec(record.method, dict(stored["settings"])))
    except UsageError as error:
        raise NotApplicable(f"here {record.method} cannot be built with its settings: {error}") from error
    here = method_key(method)
    if here != stored:
        names = [name for name in sorted({*here, *stored}) if here.get(name) != stored.get(name)]
        differences = "; ".join(f"{name} is {canonical(here.get(name))}, there {canonical(stored.get(name))}" for name in names)
        raise NotApplicable(f"here {record.method} is another: its {differences}.")
    return method


def _explainer(record: Record, model: Any) -> Callable[[Batch], list[Explanation]] | None:
    """Explains changed inputs, for metrics that need it; None where the method is not here or would have to be trained first."""
    try:
        method = method_of(record)
    except NotApplicable:
        return None
    return (
        None
        if hasattr(method, "fit")
        else lambda batch: method.explain(model, lent_copy(reseed(batch, record.seed or 0), method))
    )


def _check_declaration(score: Score, metric: Any, scores: Scores) -> None:
    """A stored score says of its metric what the metric declares, since that decides how it is ranked and shown.

    Raises:
        FlowgaugeError: It says something else.
    """
    ranked = metric.ranked or next((a.variant for a in scores.aggregates or summarise(scores.rows)), "")
    for name, declared in {**{name: getattr(metric, name) for name in DECLARED}, "ranked": ranked}.items():
        if getattr(score, name) != declared:
            raise FlowgaugeError(f"its {name} is {getattr(score, name)!r}, {score.metric} has {declared!r}.")


def _refuse_python_file(kind: str, spec: Spec) -> None:
    """Raises: FlowgaugeError: It is a Python file, or a setting is: a bundle could name any on the verifier's machine."""
    for text in (spec.name, *map(str, spec.settings.values())):
        if re.search(r"\.py(:|$)", text):
            raise FlowgaugeError(f"its {kind} {text[:100]!r} is a file of the submitter's, and {BUNDLE_CODE_REFUSED}")


def _check_complete(job: Job, batches: PreparedBatches) -> None:
    """Every instance of the task is explained, so that hard ones cannot be left out.

    Raises:
        FlowgaugeError: Names the first that is not.
    """
    expected = [name for batch in batches.encoded.batches for name in batch.names]
    absent = [name for name in expected if name not in job.cell.index]
    if absent:
        raise FlowgaugeError(f"{len(absent)} of {len(expected)} instances of the task are not explained, first {absent[0]!r}.")


def _check_sentences(job: Job, batches: PreparedBatches) -> None:
    """What a cell stores of each instance, which pages show, is what the task has.

    Raises:
        FlowgaugeError: Names the first instance that is stored otherwise, and what differs.
    """
    stored = job.cell.sentences()
    for index in range(len(batches)):
        for sentence in batches(index).sentences:
            for name in ("condition", "tokens", "target", "answer", "against"):
                if getattr(stored[sentence.id], name) != getattr(sentence, name):
                    value = str(getattr(stored[sentence.id], name))[:200]
                    raise FlowgaugeError(f"{name} of {sentence.id!r} is stored as {value}, here {getattr(sentence, name)}.")


def sampled(batches: PreparedBatches, sample: int, seed: int) -> PreparedBatches:
    """A seeded sample of the instances of batches, each in the batch that it was in.

    Args:
        batches: The batches.
        sample: How many instances to draw, without replacement; all where there are no more.
        seed: Seed of the draw.
    """
    encoded = batches.encoded
    rows = [(index, row) for index, batch in enumerate(encoded.batches) for row in range(len(batch))]
    if sample >= len(rows):
        return batches
    chosen = sorted(np.random.default_rng(seed).choice(len(rows), sample, replace=False).tolist())
    kept, instances = [], []
    for index, batch in enumerate(encoded.batches):
        chosen_rows = [rows[i][1] for i in chosen if rows[i][0] == index]
        if chosen_rows:
            kept.append(batch.rows(batch.ids.new_tensor(chosen_rows)))
            instances.append(tuple(encoded.instances[index][row] for row in chosen_rows))
    return PreparedBatches(batches.model, replace(encoded, batches=tuple(kept), instances=tuple(instances)), batches.labels)
