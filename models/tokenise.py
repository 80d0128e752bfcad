"""One instance to tokens: words, target, answers, and what is cut off where the model reads less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import UnfitSentence, UsageError
from ..tasks.instance import GAP, Instance
from .labels import output_of
from .load import Base
from .model import FlowModel


@dataclass(frozen=True)
class Encoding:
    """One instance's tokens, the question asked of them, and how many tokens were cut off."""

    ids: list[int]
    segments: list[int]
    words: list[tuple[int, int]]
    target: int
    answer: list[int]
    against: list[int]
    cut: int = 0


def reads(model: FlowModel | Base) -> int | None:
    """The most tokens a model has positions for, None where it states none; RoBERTa keeps two for padding."""
    limit = getattr(model.hf.config, "max_position_embeddings", None)
    return limit - (2 if model.hf.config.model_type == "roberta" else 0) if limit else None


def tokenise(model: FlowModel, instance: Instance, labels: Mapping[str, int]) -> Encoding:
    """An instance as its model reads it; `labels` has the output of each class name.

    Raises:
        UsageError: A word that is not one token where it must be, a missing gap, an unknown label, a masked text too long.
    """
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
    limit = reads(model)
    cut = max(0, len(ids) - limit) if limit else 0
    if cut:
        if masked or instance.slots:
            raise UnfitSentence(
                f"instance {instance.id!r} has {len(ids)} tokens, more than the {limit} that model {model.name!r} reads; cut, "
                "it could lose what is asked about. Choose another model, or leave such sentences out with --on-split skip."
            )
        encoded = tokenizer(*texts, return_offsets_mapping=True, truncation="longest_first", max_length=limit)
        ids = encoded["input_ids"]
    words = _word_ids(encoded, texts)
    segments = encoded.get("token_type_ids") or [0] * len(ids)
    if instance.slots:
        _demand_whole_words(model, instance, ids, words)
    if not masked:
        answer, against = (_labels(model, instance, named, labels) for named in (instance.answer, instance.against))
        return Encoding(ids, segments, words, 0, answer, against, cut)
    target = ids.index(tokenizer.mask_token_id)
    word_of = lambda w: [_one_token(model, instance, texts, ids, target, str(x)) for x in w]  # noqa: E731
    answer, against = word_of(instance.answer), word_of(instance.against)
    if set(answer) & set(against):
        raise UnfitSentence(
            f"the answers {instance.answer[0]!r} and {instance.against[0]!r} of instance {instance.id!r} are one token to model "
            f"{model.name!r}, so q would be 0; choose other words, or leave such sentences out with --on-split skip."
        )
    return Encoding(ids, segments, words, target, answer, against)


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
            raise UnfitSentence(
                f"the word {texts[segment][word]!r} of instance {instance.id!r} must be one token, but model {model.name!r} "
                f"{how}; choose another model, or leave such sentences out with --on-split skip."
            )


def _one_token(model: FlowModel, instance: Instance, texts: list[str], ids: list[int], target: int, word: str) -> int:
    """The id that the tokenizer gives `word` in the gap; everything else must stay as it was."""
    tokenizer = model.tokenizer
    filled: list[int] = tokenizer(*[t.replace(tokenizer.mask_token, word) for t in texts])["input_ids"]
    same = len(filled) == len(ids) and filled[:target] + filled[target + 1 :] == ids[:target] + ids[target + 1 :]
    if not same or filled[target] in tokenizer.all_special_ids:
        how = "does not know it" if same else f"splits it ({len(filled) - len(ids) + 1} tokens)"
        raise UnfitSentence(
            f"the answer {word!r} of instance {instance.id!r} must be one token, but model {model.name!r} {how}; "
            "choose another model or other words, or leave such sentences out with --on-split skip."
        )
    return filled[target]


def _labels(model: FlowModel, instance: Instance, labels: Sequence[int | str], ids: Mapping[str, int]) -> list[int]:
    count = model.hf.config.num_labels
    found = [output_of(label, ids, count) for label in labels]
    if None in found:
        label = labels[found.index(None)]
        raise UsageError(
            f"instance {instance.id!r} has label {label!r}, but model {model.name!r} knows {', '.join(ids)} (0 to {count - 1})."
        )
    return [index for index in found if index is not None]
