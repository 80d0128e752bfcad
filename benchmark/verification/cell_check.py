"""Holds what a record says of model, task, method and instances against what is there, whatever its scores."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from ...core.errors import FlowgaugeError, NotApplicable, shortened
from ...models.zoo import ZOO
from ..engine.explain import check_returned, explain_batch
from ..engine.jobs import Job, JobGroup
from ..engine.method_trainer import MethodTrainer
from ..engine.prepared import PreparedBatches
from ..loading.model_handle import ModelHandle
from ..store.explanation_file import ExplainedSentence
from ..store.key import canonical, question, question_key
from ..store.record import Record


def check_question(record: Record, group: JobGroup, model: str | None) -> None:
    """The names that a board shows and the key are those of the model and the task that scores are recomputed with.

    Args:
        record: The cell's record.
        group: Its model and task here.
        model: Where the verifier said that the model is; None: the record says.

    Raises:
        FlowgaugeError: The record gives model or task another name, or another version, or its key holds something else.
    """
    task = group.task
    expected = {"name": task.name, "version": task.version, "quantity": asdict(task.quantity)}
    for name, value in expected.items():
        if canonical(record.key["task"][name]) != canonical(value):
            raise FlowgaugeError(f"the {name} of its task is {record.key['task'][name]!r}, here {value!r}.")
    if model is None and record.model != group.model.shown:
        raise FlowgaugeError(f"its model is called {record.model!r}, and is {group.model.shown!r}.")
    if record.model in ZOO and ModelHandle(record.model, "").fingerprint() != group.model.fingerprint():
        raise FlowgaugeError(f"its model is called {record.model!r}, and is not the model of that name.")
    key = question_key(
        fingerprint=group.model.fingerprint(), dtype=group.model.dtype, task=group.key, max_tokens=group.max_tokens,
        on_split=group.on_split,
    )  # fmt: skip
    if canonical(key) != canonical(question(record.key)):
        raise FlowgaugeError(f"its key holds {', '.join(sorted(question(record.key)))}, expected {', '.join(sorted(key))}.")


def check_inputs(record: Record, batches: PreparedBatches) -> None:
    """What a record says of labels and of sentences that were left out or cut is so here.

    Raises:
        FlowgaugeError: Names the first field that is otherwise.
    """
    expected = {"labels": dict(batches.labels), "skipped": tuple(batches.encoded.skipped), "cut": batches.encoded.cut}
    for name, value in expected.items():
        if getattr(record, name) != value:
            raise FlowgaugeError(f"its {name} is {str(getattr(record, name))[:200]}, here {str(value)[:200]}.")


def check_explained(job: Job, batches: PreparedBatches) -> None:
    """Every instance of the task is explained and no other, and what is stored of each, which pages show, is what is here.

    Raises:
        FlowgaugeError: Names the first instance that is not explained or stored otherwise, and what differs.
    """
    stored = job.cell.sentences()
    expected = [name for batch in batches.encoded.batches for name in batch.names]
    absent = [name for name in expected if name not in stored]
    if absent:
        raise FlowgaugeError(f"{len(absent)} of {len(expected)} instances of the task are not explained, first {absent[0]!r}.")
    if extra := sorted(stored.keys() - set(expected)):
        raise FlowgaugeError(f"{len(extra)} instances are explained that the task does not have, first {extra[0]!r}.")
    for index in range(len(batches)):
        prepared = batches(index)
        for sentence in prepared.sentences:
            _check_sentence(stored[sentence.id], sentence)
        for explanations in job.cell.explanations(prepared.batch.names):
            try:
                check_returned(_Named(job.name), list(explanations), prepared.batch, batches.model)
            except ValueError as error:
                raise FlowgaugeError(f"its explanations have no place in the model: {error}") from error


class _Named:
    """What messages about explanations need of a method that may not be here."""

    def __init__(self, name: str) -> None:
        self.name = name


def _check_sentence(stored: ExplainedSentence, here: ExplainedSentence) -> None:
    for field in fields(ExplainedSentence):
        theirs, ours = getattr(stored, field.name), getattr(here, field.name)
        if theirs != ours:
            raise FlowgaugeError(f"{field.name} of {here.id!r} is stored as {str(theirs)[:200]}, here {str(ours)[:200]}.")


def why_not_applicable(job: Job, batches: PreparedBatches, trainer: MethodTrainer) -> str:
    """The reason why a cell's method is not applicable here; empty where it explains every instance."""
    if job.not_applicable:
        return job.not_applicable
    try:
        for index in range(len(batches)):
            with batches.shared.lent_to(job.method):
                explain_batch(batches.model, trainer.ready(job), batches(index), job.seed)
    except NotApplicable as reason:
        return shortened(str(reason))
    finally:
        batches.free()
    return ""


def check_declaration(stored: Any, declared: Any) -> None:
    """A stored score says of its metric what the metric declares, since that decides how it is ranked and shown.

    Args:
        stored: The score in the record.
        declared: A score of that metric as this flowgauge writes it.

    Raises:
        FlowgaugeError: It says something else.
    """
    own = {"status", "reason", "aggregates", "intervals", "seconds"}
    theirs, ours = (json.loads(score.model_dump_json(exclude=own)) for score in (stored, declared))
    for name, value in ours.items():
        if theirs[name] != value:
            raise FlowgaugeError(f"its {name} is {theirs[name]!r}, {stored.metric} has {value!r}.")
