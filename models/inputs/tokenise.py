"""One instance to tokens: words, target, answers, and how much is cut off where the model has fewer positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...core.errors import TooLong, UnfitSentence, UsageError
from ...tasks.instance import GAP, Instance
from ..layered import Layered
from ..problem_types import problem_type
from ..tokenizer import run_tokenizer
from .label_question import label_question
from .labels import output_of
from .next_word import kept, next_token, prefix_of


@dataclass(frozen=True)
class Encoding:
    """The tokens of one instance and what q reads of them.

    Attributes:
        ids: Token ids, special tokens included.
        segments: Index of the segment of each token.
        words: Segment and blank-separated word of each token; (-1, -1) for special tokens.
        target: The position that q reads: of the gap, of the last token of a model of the next word or of a classifier that reads
            there; else 0.
        answer: The explained output, one for each output head.
        against: The competing output, one for each output head; empty where it is not yet chosen.
        cut: How many tokens were cut off.
        also: Further right answers.
        label: The label that a multi-label head is asked about.
    """

    ids: list[int]
    segments: list[int]
    words: list[tuple[int, int]]
    target: int
    answer: list[int]
    against: list[int]
    cut: int = 0
    also: list[list[int]] = field(default_factory=list)
    label: int | None = None


def tokenise(model: Layered, instance: Instance, labels: Mapping[str, int]) -> Encoding:
    """Tokenises an instance for a model.

    A model of the next word reads the words before the gap, with the special tokens that its tokenizer sets before them and none
    behind them; q is read at the last.

    Args:
        model: For its tokenizer, head and number of positions.
        instance: The instance.
        labels: The output of each class name.

    Raises:
        UsageError: A missing gap, an unknown label, an answer that is no span of its text.
        UnfitSentence: A word or an answer that the tokenizer does not have as one token, an answer without a token, or for a
            model of the next word a gap with words behind it that may decide.
        TooLong: A text of too many tokens that cannot be cut.
    """
    tokenizer = model.tokenizer
    masked, prefix = model.head == "masked", prefix_of(model, instance) if model.head == "next" else None
    gaps = sum(s.count(GAP) for s in instance.segments)
    if masked and gaps != 1:
        raise UsageError(
            f"instance {instance.id!r} needs {GAP} exactly once for the masked-LM model {model.name!r}, "
            f"found {gaps}: {instance.segments}."
        )
    texts = texts_of(model, instance)
    what = f"instance {instance.id!r}"
    encoded = run_tokenizer(tokenizer, *texts, what=what, return_offsets_mapping=True)
    read = kept(tokenizer, encoded) if prefix else len(encoded["input_ids"])
    ids: list[int] = encoded["input_ids"][:read]
    _check_known(model, instance, ids)
    limit = model.max_tokens
    cut = max(0, len(ids) - limit) if limit else 0
    if cut:
        if model.head in ("masked", "next", "span") or instance.slots:
            raise TooLong(
                f"instance {instance.id!r} has {len(ids)} tokens, more than the {limit} that model {model.name!r} reads; cut, "
                "it could lose what is asked about. Choose another model, or leave such sentences out with --on-split skip.",
                len(ids),
            )
        shorter = {"truncation": "longest_first", "max_length": limit}
        encoded = run_tokenizer(tokenizer, *texts, what=what, return_offsets_mapping=True, **shorter)
        ids = encoded["input_ids"]
    words = word_places(encoded, texts)[: len(ids)]
    segments = (encoded.get("token_type_ids") or [0] * len(ids))[: len(ids)]
    if instance.slots:
        _check_whole_words(model, instance, texts, ids, words)
    last = len(ids) - 1 if prefix or getattr(model, "reads_last_token", False) else 0
    if problem_type(model) != "single_label_classification":
        label, right = label_question(model, instance, labels)
        return Encoding(ids=ids, segments=segments, words=words, target=last, answer=[right], against=[], cut=cut, label=label)
    target = ids.index(tokenizer.mask_token_id) if masked else last

    def outputs(named: tuple[int | str, ...]) -> list[int]:
        if masked:
            return [_one_token(model, instance, texts, ids, target, str(word)) for word in named]
        if prefix:
            return [next_token(model, instance, prefix, ids, str(word)) for word in named]
        if model.head == "span" and named:
            return _tokens_of(instance, encoded, named)
        return _labels(model, instance, named, labels)

    answer, against = outputs(instance.answer), outputs(instance.against)
    if (masked or prefix) and set(answer) & set(against):
        raise UnfitSentence(
            f"the answers {instance.answer[0]!r} and {instance.against[0]!r} of instance {instance.id!r} are one token to model "
            f"{model.name!r}, so q would be 0; choose other words, or leave such sentences out with --on-split skip."
        )
    also = [outputs(named) for named in instance.also]
    return Encoding(ids=ids, segments=segments, words=words, target=target, answer=answer, against=against, cut=cut, also=also)


def texts_of(model: Layered, instance: Instance) -> list[str]:
    """The texts of an instance as the model's tokenizer takes them: with its own mask token in the gap, or up to the gap."""
    if model.head == "next":
        return [prefix_of(model, instance).text]
    if model.head != "masked":
        return list(instance.segments)
    return [text.replace(GAP, model.tokenizer.mask_token or GAP) for text in instance.segments]


def count_tokens(model: Layered, instance: Instance) -> int:
    """How many tokens an instance has for a model, special ones included and before any is cut off."""
    texts, what = texts_of(model, instance), f"instance {instance.id!r}"
    encoded = run_tokenizer(model.tokenizer, *texts, what=what, return_offsets_mapping=True)
    return kept(model.tokenizer, encoded) if model.head == "next" else len(encoded["input_ids"])


def token_span(offsets: Sequence[tuple[int, int]], inside: Sequence[bool], start: int, end: int) -> tuple[int, int] | None:
    """The first and the last token with a character of text[start:end]; None where no token has one.

    A span that starts or ends within a token (`198` of `1980s`) takes that whole token.

    Args:
        offsets: Start and end of each token in its text, in characters.
        inside: Whether each token belongs to the text.
        start: Index of the span's first character.
        end: One past the index of its last character.

    >>> token_span([(0, 0), (0, 2), (3, 8), (8, 9), (0, 0)], [False, True, True, True, False], 3, 9)
    (2, 3)
    """
    tokens = [i for i, ((a, b), here) in enumerate(zip(offsets, inside, strict=True)) if here and a < end and b > start]
    return (tokens[0], tokens[-1]) if tokens else None


def _tokens_of(instance: Instance, encoded: Any, named: tuple[int | str, ...]) -> list[int]:
    """First and last token of a span that is given in characters of the last text.

    Raises:
        UsageError: No span of the text.
        UnfitSentence: A span without a token.
    """
    last = len(instance.segments) - 1
    bounds = [bound for bound in named if isinstance(bound, int)]
    if len(bounds) != 2 or len(named) != 2 or not 0 <= bounds[0] < bounds[1] <= len(instance.segments[last]):
        raise UsageError(
            f"instance {instance.id!r} has the answer {named!r}; expected the start and the end of a span in characters of its "
            f"last text, which has {len(instance.segments[last])}."
        )
    span = token_span(encoded["offset_mapping"], [s == last for s in encoded.sequence_ids()], *bounds)
    if span is None:
        raise UnfitSentence(
            f"the answer {instance.segments[last][slice(*bounds)]!r} of instance {instance.id!r} has no token; "
            "choose another model, or leave such sentences out with --on-split skip."
        )
    return list(span)


def word_places(encoded: Any, texts: Sequence[str]) -> list[tuple[int, int]]:
    """(segment, blank-separated word) of every token, by character offsets; (-1, -1) for special tokens."""
    word_at = []
    for text in texts:
        starts = np.array([i == 0 or text[i - 1].isspace() for i in range(len(text))]) & ~np.array([c.isspace() for c in text])
        word_at.append(np.cumsum(starts) - 1)
    word_ids = []
    for (start, end), sequence in zip(encoded["offset_mapping"], encoded.sequence_ids(), strict=True):
        real = sequence is not None and end > start
        word_ids.append((sequence, max(0, int(word_at[sequence][end - 1]))) if real else (-1, -1))
    return word_ids


def _check_known(model: Layered, instance: Instance, ids: Sequence[int]) -> None:
    """Refuses a text with a token that the model has no vector for, such as that for an image in a model of texts.

    Raises:
        UnfitSentence: Such a token.
    """
    table = getattr(model, "word_embedding", None)
    beyond = [] if table is None else [token for token in ids if token >= len(table.weight)]
    if beyond:
        raise UnfitSentence(
            f"the text of instance {instance.id!r} has the token {model.tokenizer.convert_ids_to_tokens(beyond[0])!r}, for which "
            f"model {model.name!r} has no vector; leave it out of the text, or such sentences out with --on-split skip."
        )


def _check_whole_words(
    model: Layered, instance: Instance, texts: Sequence[str], ids: list[int], words: list[tuple[int, int]]
) -> None:
    """Refuses an instance with a word, among those that the model reads, that is not one known token.

    Raises:
        UnfitSentence: Such a word.
    """
    split = [text.split() for text in texts]
    for segment, word in ((s, w) for s, text in enumerate(split) for w in range(len(text))):
        positions = [i for i, w in enumerate(words) if w == (segment, word)]
        if len(positions) != 1 or ids[positions[0]] == model.tokenizer.unk_token_id:
            how = "does not know it" if len(positions) == 1 else f"splits it into {len(positions)} tokens"
            raise UnfitSentence(
                f"the word {split[segment][word]!r} of instance {instance.id!r} must be one token, but model {model.name!r} "
                f"{how}; choose another model, or leave such sentences out with --on-split skip."
            )


def _one_token(model: Layered, instance: Instance, texts: list[str], ids: list[int], target: int, word: str) -> int:
    """The id that the tokenizer gives `word` in the gap.

    Raises:
        UsageError: The tokenizer makes a token of the blank before every gap, so that no word fits.
        UnfitSentence: The word is unknown or several tokens, or the other tokens are not the same with it.
    """
    tokenizer = model.tokenizer
    before = ids[max(target - 1, 0)]
    if before not in tokenizer.all_special_ids and not tokenizer.decode([before]).strip():
        token = tokenizer.mask_token
        raise UsageError(
            f"the tokenizer of model {model.name!r} makes a token of the blank before {token}, which it does not before words: "
            f"let the mask token take it, as `tokenizer.add_special_tokens({{'mask_token': AddedToken({token!r}, lstrip=True, "
            "special=True)})` and `tokenizer.save_pretrained(FOLDER)` do."
        )
    in_gap = [t.replace(tokenizer.mask_token, word) for t in texts]
    filled: list[int] = run_tokenizer(tokenizer, *in_gap, what=f"instance {instance.id!r}")["input_ids"]
    same = len(filled) == len(ids) and filled[:target] + filled[target + 1 :] == ids[:target] + ids[target + 1 :]
    if not same or filled[target] in tokenizer.all_special_ids:
        how = "does not know it" if same else f"splits it ({len(filled) - len(ids) + 1} tokens)"
        raise UnfitSentence(
            f"the answer {word!r} of instance {instance.id!r} must be one token, but model {model.name!r} {how}; "
            "choose another model or other words, or leave such sentences out with --on-split skip."
        )
    return filled[target]


def _labels(model: Layered, instance: Instance, labels: Sequence[int | str], ids: Mapping[str, int]) -> list[int]:
    """The outputs of class names or indices.

    Raises:
        UsageError: The model has no such output.
    """
    try:
        return [output_of(label, ids) for label in labels]
    except UsageError as error:
        raise type(error)(f"instance {instance.id!r} has label {labels[0]!r}, but model {model.name!r} {error}") from error
