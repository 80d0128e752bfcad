"""Instances to batches: tokens, words, target, answers; bucketed by length."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from ..core.errors import UsageError
from ..tasks.instance import GAP, Instance, Quantity
from .batch import Batch
from .model import FlowModel
from .outputs import prediction, strongest_other
from .trace import trace_bytes

log = logging.getLogger(__name__)
TRACE_BUDGET = 2**30
"""Bytes a batch's path trace may take; larger ones spend their time on fresh memory pages."""
TRACE_SAMPLES = 50


def cell_seed(seed: int, name: str) -> int:
    """One instance's seed: sha256 of the cell's seed and the instance's id."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:7], "big")


def encode(model: FlowModel, instances: Sequence[Instance], quantity: Quantity = Quantity(), seed: int = 0) -> Batch:
    """One padded batch of all instances, with the strongest other output filled in where an instance names none.

    Raises:
        UsageError: A word that is not one token where it must be, a missing gap, an unknown label, a text too long.
    """
    if not instances:
        raise UsageError("there are no instances to encode.")
    rows = [_encode_one(model, instance) for instance in instances]
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
    target = torch.tensor([r.target for r in rows])
    answer = torch.tensor([r.answer for r in rows])
    against = torch.tensor([r.against or r.answer for r in rows])
    place = model.device
    batch = Batch(
        ids.to(place), mask.to(place), segments.to(place), word_ids.to(place), answer.to(place), against.to(place),
        target.to(place), tuple(i.id for i in instances), tuple(cell_seed(seed, i.id) for i in instances), quantity,
        closed == {True},
    )  # fmt: skip
    return batch if batch.pairwise else _fill_against(model, batch)


@torch.no_grad()
def _fill_against(model: FlowModel, batch: Batch) -> Batch:
    outputs = model.outputs(batch)
    found = [strongest_other(logits, batch.answer[:, h]) for h, logits in enumerate(outputs)]
    return replace(batch, against=torch.stack(found, 1), cache={})


@torch.no_grad()
def relabel(model: FlowModel, batch: Batch) -> Batch:
    """The batch with q taken for the class the model predicts on the clean input, and against re-chosen."""
    outputs = model.outputs(batch)
    predicted = prediction(outputs, batch)
    if batch.pairwise:
        against = torch.where(predicted == batch.answer, batch.against, batch.answer)
    else:
        against = torch.stack([strongest_other(logits, predicted[:, h]) for h, logits in enumerate(outputs)], 1)
    return replace(batch, answer=predicted, against=against, quantity=replace(batch.quantity, label="predicted"), cache={})


def reseed(batch: Batch, seed: int) -> Batch:
    """The same rows, sharing their cache, with the seeds of another cell."""
    return replace(batch, seeds=tuple(cell_seed(seed, name) for name in batch.names))


@dataclass(frozen=True)
class _Row:
    ids: list[int]
    segments: list[int]
    words: list[tuple[int, int]]
    target: int
    answer: list[int]
    against: list[int]


def _encode_one(model: FlowModel, instance: Instance) -> _Row:
    tokenizer = model.tokenizer
    masked = model.head == "masked"
    gaps = sum(s.count(GAP) for s in instance.segments)
    if masked and gaps != 1:
        raise UsageError(
            f"instance {instance.id!r} needs {GAP} exactly once for the masked-LM model {model.name!r}, "
            f"found {gaps}: {instance.segments}."
        )
    texts = [s.replace(GAP, tokenizer.mask_token or GAP) for s in instance.segments] if masked else list(instance.segments)
    encoded = tokenizer(*texts, return_offsets_mapping=True)
    ids: list[int] = encoded["input_ids"]
    limit = getattr(model.hf.config, "max_position_embeddings", None)
    if limit is not None and len(ids) > limit - (2 if model.hf.config.model_type == "roberta" else 0):
        raise UsageError(
            f"instance {instance.id!r} has {len(ids)} tokens, more than the {limit} positions of model {model.name!r}."
        )
    words = _word_ids(encoded, texts)
    segments = encoded.get("token_type_ids") or [0] * len(ids)
    if instance.slots:
        _demand_whole_words(model, instance, ids, words)
    if not masked:
        return _Row(
            ids, segments, words, 0, _labels(model, instance, instance.answer), _labels(model, instance, instance.against)
        )
    target = ids.index(tokenizer.mask_token_id)
    word_of = lambda w: [_one_token(model, instance, texts, ids, target, str(x)) for x in w]  # noqa: E731
    return _Row(ids, segments, words, target, word_of(instance.answer), word_of(instance.against))


def _word_ids(encoded: Any, texts: Sequence[str]) -> list[tuple[int, int]]:
    """(segment, blank-separated word) of every token, by character offsets; (-1, -1) for special tokens."""
    word_at = []
    for text in texts:
        starts = np.array([i == 0 or text[i - 1].isspace() for i in range(len(text))]) & ~np.array([c.isspace() for c in text])
        word_at.append(np.cumsum(starts) - 1)
    found = []
    for (start, end), sequence in zip(encoded["offset_mapping"], encoded.sequence_ids(), strict=True):
        real = sequence is not None and end > start
        found.append((sequence, int(word_at[sequence][end - 1])) if real else (-1, -1))
    return found


def _demand_whole_words(model: FlowModel, instance: Instance, ids: list[int], words: list[tuple[int, int]]) -> None:
    flat = [(s, w) for s, text in enumerate(instance.segments) for w in range(len(text.split()))]
    texts = [text.split() for text in instance.segments]
    for segment, word in flat:
        at = [i for i, w in enumerate(words) if w == (segment, word)]
        if len(at) != 1 or ids[at[0]] == model.tokenizer.unk_token_id:
            how = "does not know it" if len(at) == 1 else f"splits it into {len(at)} tokens"
            raise UsageError(
                f"the word {texts[segment][word]!r} of instance {instance.id!r} must be one token, but model {model.name!r} "
                f"{how}; choose another model, or leave such sentences out with --on-split skip."
            )


def _one_token(model: FlowModel, instance: Instance, texts: list[str], ids: list[int], target: int, word: str) -> int:
    """The id that the tokenizer gives `word` in the gap; everything else must stay as it was."""
    tokenizer = model.tokenizer
    filled: list[int] = tokenizer(*[t.replace(tokenizer.mask_token, word) for t in texts])["input_ids"]
    same = len(filled) == len(ids) and filled[:target] + filled[target + 1 :] == ids[:target] + ids[target + 1 :]
    if not same or filled[target] == tokenizer.unk_token_id:
        how = "does not know it" if same else f"splits it ({len(filled) - len(ids) + 1} tokens)"
        raise UsageError(
            f"the answer {word!r} of instance {instance.id!r} must be one token, but model {model.name!r} {how}; "
            "choose another model or other words, or leave such sentences out with --on-split skip."
        )
    return filled[target]


def _labels(model: FlowModel, instance: Instance, labels: Sequence[int | str]) -> list[int]:
    names = {str(k).lower(): int(v) for k, v in model.hf.config.label2id.items()}
    count = model.hf.config.num_labels
    found = []
    for label in labels:
        index = label if isinstance(label, int) else names.get(label.lower())
        if index is None or not 0 <= index < count:
            raise UsageError(
                f"instance {instance.id!r} has label {label!r}, but model {model.name!r} knows "
                f"{', '.join(names)} (0 to {count - 1})."
            )
        found.append(index)
    return found


@dataclass(frozen=True, eq=False)
class Encoded:
    """The batches of a task for a model, and what was left out of it."""

    batches: tuple[Batch, ...]
    instances: tuple[tuple[Instance, ...], ...]
    skipped: tuple[str, ...]


def batches(
    model: FlowModel,
    instances: Sequence[Instance],
    quantity: Quantity = Quantity(),
    *,
    batch_size: int = 32,
    max_tokens: int | None = None,
    on_split: Literal["error", "skip"] = "error",
) -> Encoded:
    """Batches of at most `batch_size`, sorted by length so that little is padded.

    Args:
        model: For its tokenizer and head.
        instances: In the task's order.
        quantity: What is explained.
        batch_size: Most instances a batch; fewer where their path trace would exceed `TRACE_BUDGET`.
        max_tokens: Leaves out instances with more tokens, special ones included (a choice of the user, counted).
        on_split: What to do with a sentence whose words or answer are not single tokens: stop, or leave out and count.
    """
    usable: list[tuple[int, Instance]] = []
    skipped: list[str] = []
    for instance in instances:
        try:
            length = len(_encode_one(model, instance).ids)
        except UsageError as error:
            if on_split == "error" or "--on-split skip" not in str(error):
                raise
            skipped.append(f"{instance.id}: {error}")
            continue
        if max_tokens is not None and length > max_tokens:
            skipped.append(f"{instance.id}: {length} tokens, more than {max_tokens}")
            continue
        usable.append((length, instance))
    if not usable:
        raise UsageError(
            f"none of the {len(instances)} instances is left for model {model.name!r}; "
            f"first reason: {(skipped or ['the task is empty'])[0]}"
        )
    if skipped:
        log.warning("%d of %d instances left out, first: %s", len(skipped), len(instances), skipped[0])
    usable.sort(key=lambda pair: pair[0])
    groups = list(_groups(model, usable, batch_size))
    return Encoded(tuple(encode(model, g, quantity) for g in groups), tuple(groups), tuple(skipped))


def _groups(model: FlowModel, usable: Sequence[tuple[int, Instance]], batch_size: int) -> Iterator[tuple[Instance, ...]]:
    """Cuts instances, sorted by length, into batches whose path trace fits the budget."""
    group: list[Instance] = []
    for length, instance in usable:
        fits = TRACE_BUDGET // trace_bytes(model, length, TRACE_SAMPLES)
        if group and len(group) >= min(batch_size, fits):
            yield tuple(group)
            group = []
        group.append(instance)
    yield tuple(group)


def token_slots(batch: Batch, row: int, instance: Instance) -> list[str]:
    """The slot name of each real token: the special token's own text, else the template's name, else the word's number."""
    before = [0]
    for text in instance.segments:
        before.append(before[-1] + len(text.split()))
    names = []
    for position, (segment, word) in enumerate(batch.word_ids[row][batch.mask[row]].tolist()):
        if segment < 0:
            names.append("[CLS]" if position == 0 else "[SEP]")
        else:
            number = before[segment] + word
            names.append(instance.slots[number] if instance.slots else str(number))
    return names
