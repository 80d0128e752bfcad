"""Imports explanations that were computed elsewhere: lists what has to be explained, checks what comes back and scores it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ...core.errors import UsageError
from ...core.registry import Spec
from ...methods.explanation import Explanation
from ...metrics.scorecard import metrics_for
from ...models.inputs.labels import describe_classes
from ...models.layered import Layered
from ...models.problem_types import problem_type
from ..engine.execute import execute
from ..engine.explain import PreparedBatch, check_returned
from ..engine.jobs import Job, JobGroup, finished, results_of
from ..engine.plan import Plan, request_of
from ..engine.prepared import PreparedBatches, encode_group
from ..engine.resolve import ResolvedPlan, check_names, resolve
from ..store.damage import find_damage, mend
from ..store.explanation_file import Part, from_bytes, to_bytes
from ..store.key import canonical, folder_name, question, question_key
from ..store.record import EXPLAINED
from ..store.results import RunRecords
from ..store.store import Store
from .folder_format import PREDICTED, ExternalExplanations, ExternalManifest, content_sum, read_explanations

UNKNOWN_COST = {"own_seconds": 0.0, "charged_seconds": 0.0, "explanations": 0, "peak_bytes": 0}
"""The cost of explanations that were computed elsewhere."""


@dataclass(frozen=True)
class Question:
    """One instance as the model sees it, for a program that explains it elsewhere.

    Attributes:
        id: The instance's id, with which the names of its tensors begin.
        condition: The group that intervals are stratified by.
        segments: One or two texts.
        tokens: Text of each token, special ones included.
        input_ids, token_type_ids: Ids of each token, as the model takes them.
        target: Position that q is read at; None where it is read at several or at none.
        answer, against: Indices of the model's outputs, one a head; q is logit[answer] - logit[against] at the target.
        predicted, predicted_against: The outputs of q for the answer that the model gives.
        correct: Whether the model gives the right answer; if not, both answers have to be explained.
    """

    id: str
    condition: str
    segments: tuple[str, ...]
    tokens: tuple[str, ...]
    input_ids: tuple[int, ...]
    token_type_ids: tuple[int, ...]
    target: int | None
    answer: tuple[int, ...]
    against: tuple[int, ...]
    predicted: tuple[int, ...]
    predicted_against: tuple[int, ...]
    correct: bool


def questions(
    task: str, model: str | None = None, *, device: str = "auto", data_dir: str | None = None, **plan: Any
) -> list[Question]:
    """The instances of a task as a model sees them, in the order of the task.

    Args:
        task: One task, named as for `run`.
        model: The model, named as for `run`; None: the one that comes with the task, or agreement-bert.
        device: A torch device.
        data_dir: Folder of published data, for tasks that read them.
        plan: Further fields of a plan: limit, split, sample_seed, dtype, max_tokens, on_split, columns, where, revision.

    Raises:
        UsageError: Unknown names, no such split, a sentence that the model cannot take.
    """
    group = _open_group(_resolve(Plan.make(tasks=task, model=model, device=device, data_dir=data_dir, **plan)))
    batches = encode_group(group)
    _check_classes(batches.model)
    by_id = {entry.id: entry for index in range(len(batches)) for entry in _questions(batches(index))}
    return [by_id[instance.id] for instance in group.instances if instance.id in by_id]


def import_explanations(
    folder: str | Path,
    store: str = "results",
    metrics: Sequence[str] | None = None,
    *,
    model: str | None = None,
    data_dir: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    quiet: bool = True,
) -> RunRecords:
    """Stores explanations that were computed elsewhere as a cell, and scores it with the code that scores every other cell.

    Metrics whose budget is matched to a method look for that method's cell in the store.

    Args:
        folder: The folder that `write_explanations` wrote.
        store: The store that the cell goes into.
        metrics: Names or `file.py[:name]`, with settings after a colon; empty: the explanations are only stored. None: what their
            views allow (`metrics.scorecard`).
        model: Where the model is, if not under its name in the manifest.
        data_dir: Folder of published data, for tasks that read them.
        device: A torch device.
        batch_size: Instances a batch; None: 32, fewer for long sentences.
        quiet: Shows no progress bar.

    Returns:
        The record of the cell.

    Raises:
        UsageError: The folder cannot be read, or does not explain what the task asks: which instance, and what was expected.
    """
    external = read_explanations(folder)
    metrics = metrics_for([external.views], [Spec.parse(external.manifest.task).name]) if metrics is None else metrics
    plan = _plan(
        external.manifest, metrics, model=model or external.manifest.model, data_dir=data_dir, device=device, store=store
    )
    resolved = _resolve(plan, quiet)
    scorers = resolved.metrics if metrics else ()
    target = Store(store)
    target.files.check_writable()
    group = _open_group(resolved)
    group.prepared = encode_group(group, scorers, batch_size)
    _check_classes(group.prepared.model)
    parts = _parts(external, group, group.prepared)
    job = _open_job(external.manifest, resolved, group, target, content_sum(parts))
    group.jobs.append(job)
    group.match_budgets(scorers, _other_jobs(target, group, job))
    if find_damage(job.cell):
        job.record = mend(job.cell)
    if not finished(job, group, scorers):
        _write_missing(job, parts)
    execute(store, [group], scorers, quiet=quiet)
    return results_of(store, [group])


def _plan(manifest: ExternalManifest, metrics: Sequence[str], **fields: Any) -> Plan:
    names = ("revision", "split", "limit", "sample_seed", "dtype", "max_tokens", "on_split", "columns", "where")
    stated = {name: getattr(manifest, name) for name in names}
    return Plan.make(tasks=manifest.task, metrics=tuple(metrics) or "none", **stated, **fields)


def _resolve(plan: Plan, quiet: bool = True) -> ResolvedPlan:
    """The resolved plan, which has one task."""
    plan = check_names(plan)
    if len(plan.tasks) != 1:  # before any of them is sampled, which may need data that are not here
        names = ", ".join(spec.name for spec in plan.tasks)
        raise UsageError(f"explanations from outside are of one task at a time, got {names}: name one of them.")
    return resolve(plan, quiet)


def _open_group(resolved: ResolvedPlan) -> JobGroup:
    """The plan's one task and model, with no cells yet."""
    plan, sample = resolved.plan, resolved.tasks[0]
    return JobGroup(
        resolved.models[0], sample.task, sample.key, sample.instances, max_tokens=plan.max_tokens, on_split=plan.on_split
    )


def _check_classes(model: Layered) -> None:
    """Explanations from outside are of the answer's logit minus another's.

    Raises:
        UsageError: The outputs of the model do not exclude each other, or are a score.
    """
    if problem_type(model) != "single_label_classification":
        raise UsageError(
            f"explanations from outside are of models whose classes exclude each other, and model {model.name!r} has "
            f"{describe_classes(model)}: explain it with `flowgauge run`."
        )


def _questions(prepared: PreparedBatch) -> list[Question]:
    gold, predicted = prepared.batch, prepared.predicted_batch
    return [
        Question(
            id=instance.id, condition=instance.condition, segments=instance.segments, tokens=sentence.tokens,
            input_ids=_row(gold.ids, row, gold.attention_mask),
            token_type_ids=_row(gold.token_type_ids, row, gold.attention_mask),
            target=sentence.target, answer=_row(gold.answer, row), against=_row(gold.against, row),
            predicted=_row(predicted.answer, row), predicted_against=_row(predicted.against, row), correct=bool(sentence.correct),
        )
        for row, (instance, sentence) in enumerate(zip(prepared.instances, prepared.sentences, strict=True))
    ]  # fmt: skip


def _row(values: Tensor, row: int, mask: Tensor | None = None) -> tuple[int, ...]:
    """One row, without what the mask leaves out."""
    kept = values[row] if mask is None else values[row][mask[row]]
    return tuple(kept.tolist())


def _parts(external: ExternalExplanations, group: JobGroup, batches: PreparedBatches) -> list[Part]:
    """The explanations, batch by batch as cells store them.

    Raises:
        UsageError: Instances missing or unknown, other tokens than the model's, another shape, numbers that are not finite.
    """
    unknown = external.unknown_instances(instance.id for instance in group.instances)
    if unknown:
        raise UsageError(
            f"{len(unknown)} explained instances are not among the {len(group.instances)} that the manifest asks of "
            f"{group.task.name!r}, first {unknown[0]!r}; split, limit and sample_seed say which these are, and "
            "`flowgauge questions` lists them."
        )
    expected = [name for batch in batches.encoded.batches for name in batch.names]
    absent = [name for name in expected if external.explanation(name) is None]
    if absent:
        raise UsageError(
            f"{len(absent)} of {len(expected)} instances are not explained, first {absent[0]!r}: explain every instance that "
            "`flowgauge questions` lists."
        )
    return [_part(external, batches, index) for index in range(len(batches))]


def _part(external: ExternalExplanations, batches: PreparedBatches, index: int) -> Part:
    prepared = batches(index)
    batch = prepared.batch
    for row, name in enumerate(batch.names):
        _check_tokens(external, name, _row(batch.ids, row, batch.attention_mask))
    gold = [external.explanation(name) for name in batch.names]
    predicted = [_predicted(external, prepared, row, explanation) for row, explanation in enumerate(gold)]
    for explanations in (gold, predicted):
        try:
            check_returned(external.manifest, explanations, batch, batches.model)
        except ValueError as error:
            raise UsageError(str(error)) from error
    part = Part(prepared.sentences, tuple(gold), tuple(predicted), UNKNOWN_COST)  # type: ignore[arg-type]  # none is missing
    return from_bytes(to_bytes(part))  # the key has the sum of what is stored, and large views are stored in half precision


def _check_tokens(external: ExternalExplanations, name: str, model_ids: tuple[int, ...]) -> None:
    """Raises: UsageError: The explained tokens are not those of the model."""
    explained_ids = external.ids(name)
    if explained_ids is not None and tuple(explained_ids.ravel().tolist()) != model_ids:
        raise UsageError(
            f"instance {name!r}: its {explained_ids.size} input_ids are not the {len(model_ids)} tokens of the model, which are "
            f"{list(model_ids)}."
        )


def _predicted(external: ExternalExplanations, prepared: PreparedBatch, row: int, gold: Explanation | None) -> Explanation | None:
    """The explanation of the predicted answer, which is the gold one where the prediction is right."""
    sentence = prepared.sentences[row]
    if row not in prepared.wrong:
        return gold
    explanation = external.explanation(sentence.id, predicted=True)
    if explanation is None and not external.manifest.same_for_predicted:
        raise UsageError(
            f"instance {sentence.id!r}: the model answers {' '.join(sentence.predicted)}, not {' '.join(sentence.answer)}, and "
            f"metrics ask about its own answer too: hand in '{sentence.id}{PREDICTED}/<view>' as well, or say "
            "same_for_predicted in the manifest if the method asks for no answer."
        )
    return explanation or gold


def _open_job(manifest: ExternalManifest, resolved: ResolvedPlan, group: JobGroup, store: Store, content: str) -> Job:
    plan = resolved.plan
    key = question_key(
        fingerprint=group.model.fingerprint(), dtype=plan.dtype, task=group.key, max_tokens=plan.max_tokens,
        on_split=plan.on_split,
    )  # fmt: skip
    key |= {"method": json.loads(canonical(manifest.identity())), "seed": manifest.seed, "explanations": content}
    request = request_of(plan, group.model.name, plan.tasks[0], {"name": manifest.name, **manifest.settings})
    cell = store.cell(group.model.shown, group.task.name, folder_name(manifest.name, key))
    return Job(
        cell=cell, key=key, method=None, name=manifest.name, seed=manifest.seed or 0, record=cell.record(),
        request={**request, "citation": manifest.citation},
    )  # fmt: skip


def _other_jobs(store: Store, group: JobGroup, job: Job) -> list[Job]:
    """Explained cells of the same question in the store, for metrics whose budget is matched to one of them."""
    return [
        Job.of_record(store, record)
        for record in store.records()
        if record.model == group.model.shown
        and question(record.key) == question(job.key)
        and record.status in EXPLAINED
        and record.folder != job.cell.folder
    ]


def _write_missing(job: Job, parts: Sequence[Part]) -> None:
    """Writes the explanations that are not stored yet."""
    first = 0
    for part in parts:
        rows = [row for row, sentence in enumerate(part.sentences) if sentence.id not in job.cell.index]
        if rows:
            job.cell.write_part(first + rows[0], part.rows(rows))
        first += len(part.sentences)
