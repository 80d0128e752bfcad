"""Instances to batches of similar length, with tokens, words, target and answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from ...core.errors import CannotAsk, NoneLeft, TooLong, UnfitSentence, UsageError
from ...tasks.instance import Instance, Quantity
from ..batch import Batch, cell_seed
from ..flow.trace import WHOLE, trace_bytes
from ..layered import Layered
from ..memory import memory_budget
from ..outputs import likeliest, prediction, strongest_other
from ..problem_types import problem_type
from ..shapes import Outputs
from ..tokenizer import padding_token
from .counterpart import counterpart_ids
from .labels import label_ids
from .tokenise import Encoding, tokenise
from .unknown_words import describe_unknown, unknown_words

log = logging.getLogger(__name__)
TRACE_BUDGET = 2**30
"""Bytes that the path trace of a batch of several instances may take, of a half of the memory budget; larger ones were slower,
because the system has to provide new memory pages."""
TRACE_SAMPLES = 50
"""Path samples of each instance that a batch makes room for by default."""


def encode(
    model: Layered,
    instances: Sequence[Instance],
    quantity: Quantity = Quantity(),
    seed: int = 0,
    labels: Mapping[str, int] | None = None,
) -> Batch:
    """One padded batch of all instances.

    Where an instance names no competing output, it is the strongest other output on the clean input. Of several right answers,
    the one that the model finds likeliest on the clean input is explained. Texts with more tokens than the model has positions
    are cut at their ends, of two texts the longer one first, with a warning that counts them.

    Args:
        model: For its tokenizer and head.
        instances: The instances in the order of the batch.
        quantity: The scalar that is explained.
        seed: The seed of the cell.
        labels: The output of each class name (`labels.label_ids`); None: the model's own names.

    Raises:
        UsageError: No instances, a word that is not one token where it must be, a missing gap, an unknown label, a text that is
            too long and cannot be cut.
    """
    if not instances:
        raise UsageError("there are no instances to encode: give at least one.")
    ids = _ids(model, labels)
    rows = [tokenise(model, instance, ids) for instance in instances]
    _warn_of_cut(model, rows)
    return _collate(model, instances, rows, quantity, seed)


def _ids(model: Layered, labels: Mapping[str, int] | None) -> Mapping[str, int]:
    """The output of each class name, by default by the model's own names."""
    return label_ids(model, ()) if labels is None and model.head == "label" else labels or {}


def _warn_of_cut(model: Layered, rows: Sequence[Encoding]) -> int:
    """The number of texts that were cut, with one warning for all of them."""
    cut = [row for row in rows if row.cut]
    if cut:
        most = max(row.cut for row in cut)
        message = "%d of %d texts are longer than the %d tokens model %r reads and were cut, by %d tokens at most."
        log.warning(message, len(cut), len(rows), model.max_tokens, model.name, most)
    return len(cut)


def _collate(model: Layered, instances: Sequence[Instance], rows: Sequence[Encoding], quantity: Quantity, seed: int = 0) -> Batch:
    """The padded batch of tokenised instances."""
    length, pad = max(len(r.ids) for r in rows), padding_token(model.tokenizer)
    ids, segments = torch.full((len(rows), length), pad), torch.zeros(len(rows), length, dtype=torch.long)
    mask, word_ids = torch.zeros(len(rows), length, dtype=torch.bool), torch.full((len(rows), length, 2), -1)
    for i, row in enumerate(rows):
        n = len(row.ids)
        ids[i, :n], segments[i, :n], mask[i, :n] = torch.tensor(row.ids), torch.tensor(row.segments), True
        word_ids[i, :n] = torch.tensor(row.words)
    names_against = {bool(instance.against) for instance in instances}
    if len(names_against) != 1:
        raise UsageError(
            "some instances name the output to hold against the answer and some do not; a task must do one or the other."
        )
    target = torch.tensor([r.target for r in rows]).to(model.device) if model.one_target else None
    answer = torch.tensor([r.answer for r in rows])
    against = torch.tensor([r.against or r.answer for r in rows])
    counterpart = _counterparts(model, instances, rows, length)
    label = None if rows[0].label is None else torch.tensor([r.label for r in rows]).to(model.device)
    batch = Batch(
        ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        token_type_ids=segments.to(model.device),
        word_ids=word_ids.to(model.device),
        answer=answer.to(model.device),
        against=against.to(model.device),
        target=target,
        names=tuple(i.id for i in instances),
        seeds=tuple(cell_seed(seed, i.id) for i in instances),
        quantity=_answered(model, quantity),
        label=label,
        counterpart=counterpart,
        pairwise=names_against == {True},
        spans=model.head == "span",
    )
    return batch if batch.pairwise else _fill_against(model, batch, rows)


def _counterparts(
    model: Layered, instances: Sequence[Instance], rows: Sequence[Encoding], length: int
) -> Int[Tensor, "batch tokens"] | None:
    """The padded tokens of every counterpart, -1 throughout for an instance without one; None where no instance has one."""
    tokens_of = [counterpart_ids(model, instance, row) for instance, row in zip(instances, rows, strict=True)]
    if all(tokens is None for tokens in tokens_of):
        return None
    ids = torch.full((len(rows), length), padding_token(model.tokenizer))
    for row, tokens in enumerate(tokens_of):
        if tokens is None:
            ids[row] = -1
        else:
            ids[row, : len(tokens)] = torch.tensor(tokens)
    return ids.to(model.device)


def _answered(model: Layered, quantity: Quantity) -> Quantity:
    """The quantity as the model's head answers it: a score competes with no other output, so its q is the score itself.

    Raises:
        UsageError: The task asks for a probability, which a score does not have.
    """
    if problem_type(model) != "regression":
        return quantity
    if quantity.form not in ("logit_difference", "logit"):
        raise UsageError(
            f"the task explains a {quantity.form.replace('_', ' ')}, but model {model.name!r} has a regression head, "
            "which gives a score: choose a classifier."
        )
    return replace(quantity, form="logit")


@torch.no_grad()
def _fill_against(model: Layered, batch: Batch, rows: Sequence[Encoding]) -> Batch:
    """The batch with the likeliest of several right answers, and the strongest other output in `against`."""
    outputs, answer = _clean_outputs(model, batch), batch.answer.clone()
    for index, row in enumerate(rows):
        if row.also:
            choices = torch.tensor([row.answer, *row.also], device=answer.device)
            answer[index] = likeliest([logits[index] for logits in outputs], choices)
    against = [strongest_other(logits, answer[:, h]) for h, logits in enumerate(outputs)]
    return replace(batch, answer=answer, against=torch.stack(against, 1), cache={})


def _clean_outputs(model: Layered, batch: Batch) -> Outputs:
    """The logits on the clean input.

    Raises:
        UsageError: Some logits are NaN, so that no prediction can be read from them.
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
    """The batch whose q is about the answer that the model predicts on the clean input, with `against` chosen anew.

    A score is itself in both batches, since nothing competes with it.

    Args:
        model: The model that predicts.
        batch: About the gold answer.

    Raises:
        UsageError: The model's outputs are NaN.
    """
    outputs = _clean_outputs(model, batch)
    if outputs[0].shape[1] == 1:  # a score is explained as it is
        return replace(batch, quantity=replace(batch.quantity, label="predicted"), cache={})
    predicted = prediction(outputs, batch)
    if batch.pairwise:
        against = torch.where(predicted == batch.answer, batch.against, batch.answer)
    else:
        against = torch.stack([strongest_other(logits, predicted[:, h]) for h, logits in enumerate(outputs)], 1)
    return replace(batch, answer=predicted, against=against, quantity=replace(batch.quantity, label="predicted"), cache={})


def reseed(batch: Batch, seed: int) -> Batch:
    """The same rows with the seeds of another cell; both batches share one cache."""
    return replace(batch, seeds=tuple(cell_seed(seed, name) for name in batch.names))


@dataclass(frozen=True, eq=False)
class EncodedInstances:
    """The batches of a task for a model.

    Attributes:
        batches: The batches, shortest texts first.
        instances: The instances of each batch, in its order.
        skipped: Why each other instance was left out, one line each.
        cut: How many texts were cut to the number of the model's positions.
        places: The index of each instance, by its id, in the task's order.
    """

    batches: tuple[Batch, ...]
    instances: tuple[tuple[Instance, ...], ...]
    skipped: tuple[str, ...]
    cut: int = 0
    places: Mapping[str, int] = field(default_factory=dict)


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
    """Batches of the instances, sorted by length so that there is little padding.

    Args:
        model: For its tokenizer and head.
        instances: The instances in the task's order.
        quantity: The scalar that is explained.
        batch_size: The most instances of a batch; fewer where their path trace would exceed `TRACE_BUDGET`.
        max_tokens: Instances with more tokens, special ones included, are left out and counted.
        on_split: What to do with an instance that does not suit the model (an answer of several tokens, a text that is too long
            and cannot be cut): `error` stops, `skip` leaves it out and counts it.
        labels: The output of each class name; None: the model's own names.
        samples: Path samples that will be taken of each instance; 1 without path samples.

    Raises:
        UsageError: An instance that cannot be encoded, or no instance short enough.
        NoneLeft: No instance is left, because none has answers of one token, or the model cannot be asked any of them.
    """
    ids = _ids(model, labels)
    usable: list[tuple[Encoding, Instance]] = []
    skipped: list[str] = []
    any_too_long, all_unasked = False, True
    for instance in instances:
        try:
            row = tokenise(model, instance, ids)
            length = len(row.ids) + row.cut
            if max_tokens is not None and length > max_tokens:
                raise TooLong(f"{length} tokens, more than {max_tokens}", length)
            usable.append((row, instance))
        except UnfitSentence as error:
            is_too_long = max_tokens is not None and isinstance(error, TooLong) and error.tokens > max_tokens
            if on_split == "error" and not is_too_long:
                raise
            skipped.append(f"{instance.id}: {error}")
            any_too_long |= is_too_long
            all_unasked &= isinstance(error, CannotAsk)
    if not usable and skipped and all_unasked:
        raise NoneLeft(
            f"none of the {len(instances)} instances can be asked of model {model.name!r}: {skipped[0].partition(': choose')[0]}."
        )
    if not usable:
        remedy = f"; choose a larger --max-tokens than {max_tokens}." if any_too_long else ""
        raise (UsageError if any_too_long else NoneLeft)(
            f"none of the {len(instances)} instances is left for model {model.name!r}; "
            f"first reason: {(skipped or ['the task is empty'])[0]}{remedy}"
        )
    if skipped:
        message = "%d of the %d instances drawn are left out and %d stay; first: %s"
        log.warning(message, len(skipped), len(instances), len(usable), skipped[0])
    cut = _warn_of_cut(model, [row for row, _ in usable])
    _warn_of_unknown_words(model, usable)
    usable.sort(key=lambda pair: len(pair[0].ids))
    groups = list(_groups(model, usable, batch_size, samples))
    return EncodedInstances(
        batches=tuple(_collate(model, instances, rows, quantity) for rows, instances in groups),
        instances=tuple(instances for _, instances in groups),
        skipped=tuple(skipped),
        cut=cut,
        places={instance.id: place for place, instance in enumerate(instances)},
    )


def _warn_of_unknown_words(model: Layered, usable: Sequence[tuple[Encoding, Instance]]) -> None:
    """Says once which words the model does not know: whatever they are, it reads the same."""
    found = [unknown_words(model, row.ids, row.words, instance.segments) for row, instance in usable]
    words = tuple(dict.fromkeys(word for of_instance in found for word in of_instance))
    if words:
        log.warning("%s, in %d of %d instances.", describe_unknown(model, words), sum(map(bool, found)), len(found))


def _groups(
    model: Layered, usable: Sequence[tuple[Encoding, Instance]], batch_size: int, samples: int
) -> Iterator[tuple[tuple[Encoding, ...], tuple[Instance, ...]]]:
    """Groups of rows, sorted by length, whose path traces do not exceed the budget."""
    group, budget = list[tuple[Encoding, Instance]](), min(TRACE_BUDGET, int(WHOLE * memory_budget()))
    for row, instance in usable:
        if group and len(group) >= min(batch_size, budget // trace_bytes(model, len(row.ids), samples)):
            yield tuple(row for row, _ in group), tuple(instance for _, instance in group)
            group = []
        group.append((row, instance))
    yield tuple(row for row, _ in group), tuple(instance for _, instance in group)


def token_slots(batch: Batch, row: int, instance: Instance) -> list[str]:
    """The slot name of each real token: `[CLS]`, `[BOS]` or `[SEP]`, else the template's name, else the index of the word.

    A special token that begins a text is `[BOS]` where none ends it, as in models of the next word.

    Args:
        batch: The batch of the instance.
        row: The instance's row in it.
        instance: The instance.
    """
    before = [0]
    for text in instance.segments:
        before.append(before[-1] + len(text.split()))
    names, places = [], batch.word_ids[row][batch.attention_mask[row]].tolist()
    first = "[CLS]" if places[-1][0] < 0 else "[BOS]"
    for position, (segment, word) in enumerate(places):
        if segment < 0:
            names.append(first if position == 0 else "[SEP]")
        else:
            index = before[segment] + word
            names.append(instance.slots[index] if instance.slots else str(index))
    return names
