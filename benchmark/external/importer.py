"""Cells from explanations that were computed elsewhere: what is to be explained, and what was handed in, checked and scored."""

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
from ..engine import resolve
from ..engine.explain import PreparedBatch, check_returned
from ..engine.jobs import Job, JobGroup, finished, folder_name
from ..engine.model_handle import ModelHandle
from ..engine.plan import DEFAULT_METRICS, Plan, as_mapping
from ..engine.prepared import PreparedBatches, encode_group
from ..engine.progress import Progress
from ..engine.trained_weights import TrainedWeights
from ..engine.worker import work
from ..store.explanation_file import Part, from_bytes, to_bytes
from ..store.key import canonical, question, question_key
from ..store.results import Results
from ..store.store import Store
from .folder_format import PREDICTED, ExternalExplanations, ExternalManifest, content_sum, read_explanations

FREE = {"own_seconds": 0.0, "charged_seconds": 0.0, "explanations": 0, "peak_bytes": 0}
"""What explaining took is not known."""


@dataclass(frozen=True)
class Question:
    """One instance as the model sees it, for whoever explains it elsewhere.

    Attributes:
        id: Of the instance; what a tensor's name begins with.
        condition: The group that intervals are stratified by.
        segments: One or two texts.
        tokens: Text of each token, special ones included.
        input_ids, token_type_ids: Of each token.
        target: Position that q is read at; None where it is read at several or at none.
        answer, against: Outputs of the model, one a head; q is logit[answer] - logit[against] at the target.
        predicted, predicted_against: The same for the answer that the model gives.
        correct: Whether the model gives the right answer; if not, both are to be explained.
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
    """The instances of a task as a model sees them, in the order of their lengths.

    Args:
        task: As for `run`.
        model: Likewise.
        device: A torch device.
        data_dir: Folder of published data.
        plan: Further fields of a plan: limit, split, sample_seed, dtype, max_tokens, on_split, columns, revision.

    Raises:
        UsageError: Unknown names, no such split, a sentence that the model cannot take.
    """
    asked = _checked(Plan.make(tasks=task, model=model, device=device, data_dir=data_dir, **plan))
    encodings = _encode(_group(asked), asked)
    return [made for number in range(len(encodings)) for made in _questions(encodings(number))]


def import_explanations(
    folder: str | Path,
    store: str = "results",
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    model: str | None = None,
    data_dir: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    quiet: bool = True,
) -> Results:
    """Makes a cell of explanations that were computed elsewhere, and scores it with the code that scores every other cell.

    Metrics whose budget is matched to a method find that method's cell in the store, where it has one.

    Args:
        folder: As `write_explanations` wrote it.
        store: Where the cell goes.
        metrics: Names or `file.py[:name]`, with settings after a colon.
        model: Where the model is, if not under its name in the manifest.
        data_dir: Folder of published data, for tasks that read them.
        device: A torch device.
        batch_size: Instances a batch; None: 32, fewer for long sentences.
        quiet: Shows no progress bar.

    Raises:
        UsageError: The folder is not in order, or does not explain what the task asks: which instance, and what was expected.
    """
    handed = read_explanations(folder)
    plan = _checked(_plan(handed.manifest, model, data_dir, device, store))
    specs = [Spec.parse(text) for text in metrics]
    resolve.check_metrics(specs)
    made = resolve.make_metrics(specs)
    target = Store(store)
    target.check_writable()
    group = _group(plan)
    encodings = _encode(group, plan, made, batch_size)
    parts = _parts(handed, group, encodings)
    job = _job(handed.manifest, plan, group, target, content_sum(parts))
    group.jobs += [*_others(target, group, job), job]
    for metric in made:
        group.refer(metric, resolve.reference_job(metric, group.jobs))
    if not finished(job, group, made):
        _keep(job, parts)
        with Progress(len(encodings) + len(made), quiet) as progress:
            work(group, [job], made, encodings, progress, TrainedWeights(store, quiet))
    return Results(store, (job.record,) if job.record else ())


def _plan(manifest: ExternalManifest, model: str | None, data_dir: str | None, device: str, store: str) -> Plan:
    names = ("revision", "split", "limit", "sample_seed", "dtype", "max_tokens", "on_split", "columns")
    asked = {name: getattr(manifest, name) for name in names}
    return Plan.make(tasks=manifest.task, model=model or manifest.model, data_dir=data_dir, device=device, store=store, **asked)


def _checked(plan: Plan) -> Plan:
    """The plan with known names and one task."""
    plan = resolve.check_names(plan)
    if len(plan.tasks) != 1:
        raise UsageError(f"one task at a time, got {', '.join(spec.name for spec in plan.tasks)}.")
    return plan


def _group(plan: Plan) -> JobGroup:
    """The plan's one task and model, with no cells yet."""
    drawn = resolve.draw(plan, plan.tasks[0])
    name = resolve.model_of(plan, drawn.task)
    wanted = ModelHandle(name, plan.store, plan.dtype, plan.device, plan.revision, True, plan.data_dir)
    return JobGroup(wanted, drawn.task, drawn.key, drawn.instances, [])


def _encode(group: JobGroup, plan: Plan, metrics: Sequence[Any] = (), batch_size: int | None = None) -> PreparedBatches:
    return encode_group(group, metrics, batch_size, plan.max_tokens, plan.on_split)


def _questions(asked: PreparedBatch) -> list[Question]:
    gold, predicted = asked.batch, asked.predicted_batch
    return [
        Question(
            instance.id, instance.condition, instance.segments, sentence.tokens,
            _row(gold.ids, row, gold.attention_mask), _row(gold.token_type_ids, row, gold.attention_mask), sentence.target,
            _row(gold.answer, row), _row(gold.against, row), _row(predicted.answer, row), _row(predicted.against, row),
            sentence.correct,
        )
        for row, (instance, sentence) in enumerate(zip(asked.instances, asked.sentences, strict=True))
    ]  # fmt: skip


def _row(values: Tensor, row: int, mask: Tensor | None = None) -> tuple[int, ...]:
    """One row, without what the mask leaves out."""
    kept = values[row] if mask is None else values[row][mask[row]]
    return tuple(kept.tolist())


def _parts(handed: ExternalExplanations, group: JobGroup, encodings: PreparedBatches) -> list[Part]:
    """What was handed in, batch by batch as cells store it.

    Raises:
        UsageError: Instances missing or unknown, other tokens than the model's, another shape, numbers that are not finite.
    """
    strangers = handed.strangers(instance.id for instance in group.instances)
    if strangers:
        raise UsageError(
            f"{len(strangers)} explained instances are not among the {len(group.instances)} that the manifest asks of "
            f"{group.task.name!r}, first {strangers[0]!r}; split, limit and sample_seed say which these are, and "
            "`flowgauge questions` lists them."
        )
    wanted = [name for batch in encodings.encoded.batches for name in batch.names]
    absent = [name for name in wanted if handed.explanation(name) is None]
    if absent:
        raise UsageError(f"{len(absent)} of {len(wanted)} instances are not explained, first {absent[0]!r}.")
    return [_part(handed, encodings, number) for number in range(len(encodings))]


def _part(handed: ExternalExplanations, encodings: PreparedBatches, number: int) -> Part:
    asked = encodings(number)
    for row, name in enumerate(asked.batch.names):
        _same_tokens(handed, name, _row(asked.batch.ids, row, asked.batch.attention_mask))
    gold = [handed.explanation(name) for name in asked.batch.names]
    guided = [_guided(handed, asked, row, one) for row, one in enumerate(gold)]
    for made in (gold, guided):
        try:
            check_returned(handed.manifest, made, asked.batch, encodings.model)
        except ValueError as error:
            raise UsageError(str(error)) from error
    stored = to_bytes(Part(asked.sentences, tuple(gold), tuple(guided), FREE))  # type: ignore[arg-type]  # none is missing
    return from_bytes(stored)


def _same_tokens(handed: ExternalExplanations, name: str, ours: tuple[int, ...]) -> None:
    """Raises: UsageError: The explained tokens are not those of the model."""
    theirs = handed.ids(name)
    if theirs is not None and tuple(theirs.ravel().tolist()) != ours:
        raise UsageError(
            f"instance {name!r}: its {theirs.size} input_ids are not the {len(ours)} tokens of the model, which are {list(ours)}."
        )


def _guided(handed: ExternalExplanations, asked: PreparedBatch, row: int, gold: Explanation | None) -> Explanation | None:
    """The explanation of the predicted answer, which is the gold one where the prediction is right."""
    sentence = asked.sentences[row]
    if row not in asked.wrong:
        return gold
    given = handed.explanation(sentence.id, predicted=True)
    if given is None and not handed.manifest.same_for_predicted:
        raise UsageError(
            f"instance {sentence.id!r}: the model answers {' '.join(sentence.predicted)}, not {' '.join(sentence.answer)}, and "
            f"metrics ask about its own answer too: hand in '{sentence.id}{PREDICTED}/<view>' as well, or say "
            "same_for_predicted in the manifest if the method asks for no answer."
        )
    return given or gold


def _job(manifest: ExternalManifest, plan: Plan, group: JobGroup, store: Store, content: str) -> Job:
    key = question_key(
        fingerprint=group.model.fingerprint(), dtype=plan.dtype, task=group.key, max_tokens=plan.max_tokens,
        on_split=plan.on_split,
    )  # fmt: skip
    key |= {"method": json.loads(canonical(manifest.identity())), "seed": manifest.seed, "explanations": content}
    asked = {
        "model": group.model.name, "revision": plan.revision, "task": as_mapping(plan.tasks[0]), "columns": plan.columns,
        "method": {"name": manifest.name, **manifest.settings}, "citation": manifest.citation,
    }  # fmt: skip
    cell = store.cell(group.model.shown, group.task.name, folder_name(manifest.name, key))
    return Job(cell, key, None, manifest.name, manifest.seed or 0, cell.record(), asked)


def _others(store: Store, group: JobGroup, job: Job) -> list[Job]:
    """Cells of the store that were asked the same, for metrics whose budget is matched to one."""
    records = [
        r for r in store.records()
        if r.model == group.model.shown and question(r.key) == question(job.key) and r.status in ("done", "partial")
    ]  # fmt: skip
    return [Job(store.find(r), r.key, None, r.method, r.seed or 0, r, r.asked) for r in records if r.folder != job.cell.folder]


def _keep(job: Job, parts: Sequence[Part]) -> None:
    """Writes the explanations that are not there yet."""
    first = 0
    for part in parts:
        if any(sentence.id not in job.cell.index for sentence in part.sentences):
            job.cell.write_part(first, part)
        first += len(part.sentences)
