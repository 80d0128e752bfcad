"""Instances to batches: tokens, words, target, answers; bucketed by length."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from ...core.errors import TooLong, UnfitSentence, UsageError
from ...tasks.instance import Instance, Quantity
from ..batch import Batch, cell_seed
from ..flow.trace import trace_bytes
from ..layered import Layered
from ..outputs import likeliest, prediction, strongest_other
from ..shapes import Outputs
from .labels import label_ids
from .tokenise import Encoding, tokenise

log = logging.getLogger(__name__)
TRACE_BUDGET = 2**30
"""Bytes a batch's path trace may take; larger ones spend their time on fresh memory pages."""
TRACE_SAMPLES = 50


def encode(
    model: Layered,
    instances: Sequence[Instance],
    quantity: Quantity = Quantity(),
    seed: int = 0,
    labels: Mapping[str, int] | None = None,
) -> Batch:
    """One padded batch of all instances, with the strongest other output filled in where an instance names none.

    Of several right answers, the one that the model finds likeliest on the clean input is explained.

    Texts longer than the model reads are cut at their ends, of two texts the longer one first, with a warning that counts them.

    Args:
        model: For its tokenizer and head.
        instances: In the order of the batch.
        quantity: What is explained.
        seed: Of the cell.
        labels: The output of each class name (`labels.label_ids`); None: the model's own names.

    Raises:
        UsageError: A word that is not one token where it must be, a missing gap, an unknown label, a text too long to be cut.
    """
    if not instances:
        raise UsageError("there are no instances to encode.")
    ids = _ids(model, labels)
    rows = [tokenise(model, instance, ids) for instance in instances]
    _warn_of_cut(model, rows)
    return _collate(model, instances, rows, quantity, seed)


def _ids(model: Layered, labels: Mapping[str, int] | None) -> Mapping[str, int]:
    return label_ids(model, ()) if labels is None and model.head == "label" else labels or {}


def _warn_of_cut(model: Layered, rows: Sequence[Encoding]) -> int:
    """How many texts were cut; said once."""
    cut = [row for row in rows if row.cut]
    if cut:
        most = max(row.cut for row in cut)
        told = "%d of %d texts are longer than the %d tokens model %r reads and were cut, by %d tokens at most."
        log.warning(told, len(cut), len(rows), model.max_tokens, model.name, most)
    return len(cut)


def _collate(model: Layered, instances: Sequence[Instance], rows: Sequence[Encoding], quantity: Quantity, seed: int = 0) -> Batch:
    length, pad = max(len(r.ids) for r in rows), model.tokenizer.pad_token_id or 0
    ids, segments = torch.full((len(rows), length), pad), torch.zeros(len(rows), length, dtype=torch.long)
    mask, word_ids = torch.zeros(len(rows), length, dtype=torch.bool), torch.full((len(rows), length, 2), -1)
    for i, row in enumerate(rows):
        n = len(row.ids)
        ids[i, :n], segments[i, :n], mask[i, :n] = torch.tensor(row.ids), torch.tensor(row.segments), True
        word_ids[i, :n] = torch.tensor(row.words)
    closed = {bool(instance.against) for instance in instances}
    if len(closed) != 1:
        raise UsageError(
            "some instances name the output to hold against the answer and some do not; a task must do one or the other."
        )
    target = torch.tensor([r.target for r in rows]).to(model.device) if model.one_target else None
    answer = torch.tensor([r.answer for r in rows])
    against = torch.tensor([r.against or r.answer for r in rows])
    place = model.device
    batch = Batch(
        ids.to(place), mask.to(place), segments.to(place), word_ids.to(place), answer.to(place), against.to(place),
        target, tuple(i.id for i in instances), tuple(cell_seed(seed, i.id) for i in instances), quantity,
        closed == {True}, model.head == "span",
    )  # fmt: skip
    return batch if batch.pairwise else _fill_against(model, batch, rows)


@torch.no_grad()
def _fill_against(model: Layered, batch: Batch, rows: Sequence[Encoding]) -> Batch:
    """The batch with the likeliest of several right answers, and the strongest other output."""
    outputs, answer = _numbers(model, batch), batch.answer.clone()
    for number, row in enumerate(rows):
        if row.also:
            choices = torch.tensor([row.answer, *row.also], device=answer.device)
            answer[number] = likeliest([logits[number] for logits in outputs], choices)
    found = [strongest_other(logits, answer[:, h]) for h, logits in enumerate(outputs)]
    return replace(batch, answer=answer, against=torch.stack(found, 1), cache={})


def _numbers(model: Layered, batch: Batch) -> Outputs:
    """The logits on the clean input.

    Raises:
        UsageError: Some are NaN, of which every prediction would be made up.
    """
    outputs = model.outputs(batch)
    broken = torch.stack([logits.isnan().any(1) for logits in outputs]).any(0)
    if broken.any():
        small = torch.finfo(model.dtype).bits < 32
        remedy = "use --dtype float32" if small else "its weights are damaged, copy or train it again"
        raise UsageError(f"model {model.name!r} answers {batch.names[int(broken.nonzero()[0])]!r} with NaN: {remedy}.")
    return outputs


@torch.no_grad()
def relabel(model: Layered, batch: Batch) -> Batch:
    """The batch with q taken for the class the model predicts on the clean input, and against re-chosen."""
    outputs = _numbers(model, batch)
    predicted = prediction(outputs, batch)
    if batch.pairwise:
        against = torch.where(predicted == batch.answer, batch.against, batch.answer)
    else:
        against = torch.stack([strongest_other(logits, predicted[:, h]) for h, logits in enumerate(outputs)], 1)
    return replace(batch, answer=predicted, against=against, quantity=replace(batch.quantity, label="predicted"), cache={})


def reseed(batch: Batch, seed: int) -> Batch:
    """The same rows, sharing their cache, with the seeds of another cell."""
    return replace(batch, seeds=tuple(cell_seed(seed, name) for name in batch.names))


@dataclass(frozen=True, eq=False)
class EncodedInstances:
    """The batches of a task for a model, what was left out of it, and how many texts were cut to what the model reads."""

    batches: tuple[Batch, ...]
    instances: tuple[tuple[Instance, ...], ...]
    skipped: tuple[str, ...]
    cut: int = 0


def batches(
    model: Layered,
    instances: Sequence[Instance],
    quantity: Quantity = Quantity(),
    *,
    batch_size: int = 32,
    max_tokens: int | None = None,
    on_split: Literal["error", "skip"] = "error",
    labels: Mapping[str, int] | None = None,
    samples: int = TRACE_SAMPLES,
) -> EncodedInstances:
    """Batches of at most `batch_size`, sorted by length so that little is padded.

    Args:
        model: For its tokenizer and head.
        instances: In the task's order.
        quantity: What is explained.
        batch_size: Most instances a batch; fewer where their path trace would exceed `TRACE_BUDGET`.
        max_tokens: Leaves out instances with more tokens, special ones included (a choice of the user, counted).
        on_split: What to do with a sentence that the model cannot be asked about (an answer of several tokens, a text too long to
            be cut): stop, or leave out and count.
        labels: The output of each class name; None: the model's own names.
        samples: Path samples that will be taken of each instance; 1 where none are.
    """
    ids = _ids(model, labels)
    usable: list[tuple[Encoding, Instance]] = []
    skipped: list[str] = []
    for instance in instances:
        try:
            row = tokenise(model, instance, ids)
        except UnfitSentence as error:
            by_choice = max_tokens is not None and isinstance(error, TooLong) and error.tokens > max_tokens
            if on_split == "error" and not by_choice:
                raise
            skipped.append(f"{instance.id}: {error}")
            continue
        length = len(row.ids) + row.cut
        if max_tokens is not None and length > max_tokens:
            skipped.append(f"{instance.id}: {length} tokens, more than {max_tokens}")
            continue
        usable.append((row, instance))
    if not usable:
        raise UsageError(
            f"none of the {len(instances)} instances is left for model {model.name!r}; "
            f"first reason: {(skipped or ['the task is empty'])[0]}"
        )
    if skipped:
        told = "%d of the %d instances drawn are left out and %d stay; first: %s"
        log.warning(told, len(skipped), len(instances), len(usable), skipped[0])
    cut = _warn_of_cut(model, [row for row, _ in usable])
    usable.sort(key=lambda pair: len(pair[0].ids))
    groups = list(_groups(model, usable, batch_size, samples))
    made = tuple(_collate(model, instances, rows, quantity) for rows, instances in groups)
    return EncodedInstances(made, tuple(instances for _, instances in groups), tuple(skipped), cut)


def _groups(
    model: Layered, usable: Sequence[tuple[Encoding, Instance]], batch_size: int, samples: int
) -> Iterator[tuple[tuple[Encoding, ...], tuple[Instance, ...]]]:
    """Cuts rows, sorted by length, into batches whose path trace fits the budget."""
    group: list[tuple[Encoding, Instance]] = []
    for row, instance in usable:
        fits = TRACE_BUDGET // trace_bytes(model, len(row.ids), samples)
        if group and len(group) >= min(batch_size, fits):
            yield tuple(row for row, _ in group), tuple(one for _, one in group)
            group = []
        group.append((row, instance))
    yield tuple(row for row, _ in group), tuple(one for _, one in group)


def token_slots(batch: Batch, row: int, instance: Instance) -> list[str]:
    """The slot name of each real token: the special token's own text, else the template's name, else the word's number."""
    before = [0]
    for text in instance.segments:
        before.append(before[-1] + len(text.split()))
    names = []
    for position, (segment, word) in enumerate(batch.word_ids[row][batch.attention_mask[row]].tolist()):
        if segment < 0:
            names.append("[CLS]" if position == 0 else "[SEP]")
        else:
            number = before[segment] + word
            names.append(instance.slots[number] if instance.slots else str(number))
    return names
