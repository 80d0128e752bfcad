"""One instance to tokens: words, target, answers, and what is cut off where the model reads less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core.errors import TooLong, UnfitSentence, UsageError
from ...tasks.instance import GAP, Instance
from ..layered import Layered
from .labels import output_of


@dataclass(frozen=True)
class Encoding:
    """One instance's tokens, the question asked of them with further right answers, and how many tokens were cut off."""

    ids: list[int]
    segments: list[int]
    words: list[tuple[int, int]]
    target: int
    answer: list[int]
    against: list[int]
    cut: int = 0
    also: list[list[int]] = field(default_factory=list)


def tokenise(model: Layered, instance: Instance, labels: Mapping[str, int]) -> Encoding:
    """An instance as its model reads it; `labels` has the output of each class name.

    Raises:
        UsageError: A word that is not one token where it must be, a missing gap, an unknown label, an answer that is no span of
            its text, a masked text or one with a span too long.
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
    limit = model.max_tokens
    cut = max(0, len(ids) - limit) if limit else 0
    if cut:
        if model.head in ("masked", "span") or instance.slots:
            raise TooLong(
                f"instance {instance.id!r} has {len(ids)} tokens, more than the {limit} that model {model.name!r} reads; cut, "
                "it could lose what is asked about. Choose another model, or leave such sentences out with --on-split skip.",
                len(ids),
            )
        encoded = tokenizer(*texts, return_offsets_mapping=True, truncation="longest_first", max_length=limit)
        ids = encoded["input_ids"]
    words = _word_ids(encoded, texts)
    segments = encoded.get("token_type_ids") or [0] * len(ids)
    if instance.slots:
        _demand_whole_words(model, instance, ids, words)
    target = ids.index(tokenizer.mask_token_id) if masked else 0

    def outputs(named: tuple[int | str, ...]) -> list[int]:
        if masked:
            return [_one_token(model, instance, texts, ids, target, str(word)) for word in named]
        if model.head == "span" and named:
            return _tokens_of(instance, encoded, named)
        return _labels(model, instance, named, labels)

    answer, against = outputs(instance.answer), outputs(instance.against)
    if masked and set(answer) & set(against):
        raise UnfitSentence(
            f"the answers {instance.answer[0]!r} and {instance.against[0]!r} of instance {instance.id!r} are one token to model "
            f"{model.name!r}, so q would be 0; choose other words, or leave such sentences out with --on-split skip."
        )
    return Encoding(ids, segments, words, target, answer, against, cut, [outputs(named) for named in instance.also])


def token_span(offsets: Sequence[tuple[int, int]], inside: Sequence[bool], start: int, end: int) -> tuple[int, int] | None:
    """The first and the last token with a character of text[start:end]; None where no token has one.

    A span that starts or ends within a token (`198` of `1980s`) takes that whole token.

    Args:
        offsets: Of each token in its text, in characters.
        inside: Which tokens are of the text.
        start: The first character.
        end: One past the last.

    >>> token_span([(0, 0), (0, 2), (3, 8), (8, 9), (0, 0)], [False, True, True, True, False], 3, 9)
    (2, 3)
    """
    found = [i for i, ((a, b), here) in enumerate(zip(offsets, inside, strict=True)) if here and a < end and b > start]
    return (found[0], found[-1]) if found else None


def _tokens_of(instance: Instance, encoded: Any, named: tuple[int | str, ...]) -> list[int]:
    """First and last token of a span that is given in characters of the last text."""
    last = len(instance.segments) - 1
    bounds = [number for number in named if isinstance(number, int)]
    if len(bounds) != 2 or len(named) != 2 or not 0 <= bounds[0] < bounds[1] <= len(instance.segments[last]):
        raise UsageError(
            f"instance {instance.id!r} has the answer {named!r}; expected the start and the end of a span in characters of its "
            f"last text, which has {len(instance.segments[last])}."
        )
    found = token_span(encoded["offset_mapping"], [s == last for s in encoded.sequence_ids()], *bounds)
    if found is None:
        raise UnfitSentence(
            f"the answer {instance.segments[last][slice(*bounds)]!r} of instance {instance.id!r} has no token; "
            "choose another model, or leave such sentences out with --on-split skip."
        )
    return list(found)


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


def _demand_whole_words(model: Layered, instance: Instance, ids: list[int], words: list[tuple[int, int]]) -> None:
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


def _one_token(model: Layered, instance: Instance, texts: list[str], ids: list[int], target: int, word: str) -> int:
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


def _labels(model: Layered, instance: Instance, labels: Sequence[int | str], ids: Mapping[str, int]) -> list[int]:
    count = len(model.labels)
    found = [output_of(label, ids, count) for label in labels]
    if None in found:
        label = labels[found.index(None)]
        raise UsageError(
            f"instance {instance.id!r} has label {label!r}, but model {model.name!r} knows {', '.join(ids)} (0 to {count - 1})."
        )
    return [index for index in found if index is not None]
