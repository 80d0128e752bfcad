"""The question about one text that no task asks about: what the model answers, rather than what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch

from ...core.errors import UnfitSentence, UsageError, quoted, shortened
from ...tasks.instance import GAP, Instance
from ..batch import Batch
from ..layered import Layered
from ..problem_types import problem_type
from ..tokenizer import run_tokenizer
from .counterpart import counterpart_ids
from .encode import encode, relabel
from .labels import label_ids, output_of
from .next_word import kept, prefix_of
from .tokenise import count_tokens, texts_of, tokenise

MOST_TRIED = 1000
"""How many of the likeliest tokens are tried as words for a gap."""


@dataclass(frozen=True, eq=False)
class AskedText:
    """A text with the question that is asked about it.

    Attributes:
        instance: The text. Where the model's own prediction is asked about, its answer only holds the place of the batch's.
        batch: The same text as the one row of a batch; its answer and competing output are those that are asked about.
        chosen: Who chose the answer and what it is held against, as a clause.
        own_words: Whether both are words that the model chose, so that nobody has said that their difference matters.
    """

    instance: Instance
    batch: Batch
    chosen: str
    own_words: bool = False


def ask(
    model: Layered,
    text: str,
    text2: str | None = None,
    *,
    good: str | None = None,
    bad: str | None = None,
    counterpart: str | None = None,
) -> AskedText:
    """Asks why a model answers a text as it does.

    A masked LM is asked about its two best fillings of the gap, each a whole word; a model of the next word about the two best
    words behind the text, or behind what stands before the gap; a classifier about its predicted class and the
    strongest other class, of labels that may each be true about the likeliest, and of a score about the score itself; a model of
    spans about the span that it predicts, against the best start and the best end beside its own.

    Args:
        model: The model.
        text: The text, with `[MASK]` where a masked LM fills in a word (for a model of the next word, at the end or left out);
            of a pair, the first (for spans, the question).
        text2: The second text of a pair (for spans, the passage).
        good: The answer to ask about, instead of the model's own: a word, the name of a class, or the words of a span.
        bad: What the answer is held against; None: the model's strongest other output.
        counterpart: `text` with what decides flipped, in as many tokens, for methods that exchange states between two runs.

    Raises:
        UsageError: An empty text, one with more tokens than the model reads, a text or an answer that does not suit the model's
            head; the message says what to do.
    """
    texts = (text,) if text2 is None else (text, text2)
    _check_texts(model, texts)
    if bad is not None and good is None:
        raise UsageError(f"{quoted(bad, 100)} is to be held against an answer: name the answer too, as --good or `good`.")
    try:
        ask_head = {"masked": _ask_gap, "next": _ask_gap, "span": _ask_span}.get(model.head, _ask_label)
        asked = ask_head(model, texts, good, bad)
        return asked if counterpart is None else _with_counterpart(model, asked, counterpart)
    except UnfitSentence as error:  # what it advises is for a file of many sentences
        raise UsageError(f"{str(error).partition('; choose')[0]}: name another word, or choose another model.") from error


def _with_counterpart(model: Layered, asked: AskedText, text: str) -> AskedText:
    """The same question, with the tokens of the text's counterpart.

    Raises:
        UsageError: The counterpart has no token for each token of the text, or the same tokens.
    """
    ids = None
    with suppress(UsageError):  # another number of words
        instance = replace(asked.instance, counterpart=(text, *asked.instance.segments[1:]))
        ids = counterpart_ids(model, instance, tokenise(model, instance, {}))
    if ids is None:
        raise UsageError(
            f"the counterpart {quoted(text, 100)} must be the text with other words of as many tokens in the same places, all "
            f"known to model {model.name!r}: flip what decides the answer and leave the rest."
        )
    counterpart = torch.tensor([ids], device=asked.batch.ids.device)
    return replace(asked, instance=instance, batch=replace(asked.batch, counterpart=counterpart, cache={}))


def _check_texts(model: Layered, texts: Sequence[str]) -> None:
    """Refuses texts that the model cannot be asked about.

    Raises:
        UsageError: Says what to change.
    """
    name, gaps = model.name, sum(text.count(GAP) for text in texts)
    for text, which in zip(texts, ("text", "second text"), strict=False):
        if not text.strip():
            raise UsageError(f"the {which} is empty: give a sentence in quotes.")
    if model.head == "masked" and len(texts) == 2:
        raise UsageError(
            f"model {name!r} fills a gap in one text and was given a pair: write both into one text, or choose a classifier."
        )
    if model.head == "masked" and gaps != 1:
        what = "has no gap" if gaps == 0 else f"has {gaps} gaps"
        raise UsageError(
            f"the text {what}: write {GAP} once, where model {name!r} is to fill in a word ('The author {GAP} tall .'), "
            "or choose a classifier with --model."
        )
    if model.head == "next":
        _check_prefix(model, texts)
    elif model.head != "masked" and gaps:
        raise UsageError(
            f"the text has {GAP}, and model {name!r} fills no gaps: leave it out, or choose a masked LM such as agreement-bert."
        )
    if model.head == "span" and len(texts) == 1:
        raise UsageError(f"model {name!r} finds the answer to a question in a passage: give the passage as --text2 or `text2`.")
    if len(texts) == 2 and _segments(model) == 1:
        raise UsageError(f"model {name!r} reads single texts and was given a pair: leave the second text out.")
    length = count_tokens(model, _instance(texts, ("",)))
    if model.max_tokens is not None and length > model.max_tokens:
        raise UsageError(
            f"the text has {length} tokens, more than the {model.max_tokens} that model {name!r} reads: shorten it by "
            f"{length - model.max_tokens} tokens, or choose another model."
        )


def _check_prefix(model: Layered, texts: Sequence[str]) -> None:
    """Refuses what a model of the next word cannot go on with.

    Raises:
        UsageError: Says what to change.
    """
    if len(texts) == 2:
        raise UsageError(f"model {model.name!r} goes on with one text and was given a pair: write both into one text.")
    try:
        prefix_of(model, _instance(texts, ("",)))
    except UnfitSentence as error:
        raise UsageError(
            f"{str(error).rpartition(': choose')[0]}: end the text where the next word is to stand, or choose a masked LM."
        ) from error


def _segments(model: Layered) -> int | None:
    """How many segments a model tells apart, where its configuration says so and its family uses them."""
    config = getattr(getattr(model, "hf", None), "config", None)
    return getattr(config, "type_vocab_size", None) if getattr(config, "model_type", "") in ("bert", "electra") else None


def _instance(texts: Sequence[str], answer: tuple[int | str, ...], against: tuple[int | str, ...] = ()) -> Instance:
    return Instance(shortened(" / ".join(texts), 60), tuple(texts), answer, against)


def _ask_gap(model: Layered, texts: Sequence[str], good: str | None, bad: str | None) -> AskedText:
    """Asks a masked LM about its best fillings, or a model of the next word about its best words, or either about named words."""
    chosen, own_words = "answers that you named", good is None
    if good is None:
        good, bad = _best_fillings(model, texts, 2, ())
        chosen = "the two words that the model finds likeliest; name good and bad to ask about others"
    elif bad is None:
        (bad,) = _best_fillings(model, texts, 1, (good,))
        chosen = "the word that you named, against the likeliest other"
    instance = _instance(texts, (good,), (bad or "",))
    return AskedText(instance, encode(model, [instance]), chosen, own_words)


@torch.no_grad()
def _best_fillings(model: Layered, texts: Sequence[str], count: int, named: Sequence[str]) -> list[str]:
    """The likeliest words for the gap or the end, besides named ones: tokens that the tokenizer reads there as themselves.

    Raises:
        UsageError: There are fewer among the `MOST_TRIED` likeliest tokens.
    """
    tokenizer, instance = model.tokenizer, _instance(texts, ("",))
    zero = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    encoded = run_tokenizer(tokenizer, *texts_of(model, instance), what="the text", return_offsets_mapping=True)
    read = kept(tokenizer, encoded) if model.head == "next" else len(encoded["input_ids"])
    ids = torch.tensor([encoded["input_ids"][:read]], device=model.device)
    target = (ids == tokenizer.mask_token_id).long().argmax(1) if model.head == "masked" else zero[:, 0] + read - 1
    batch = Batch(
        ids=ids, attention_mask=torch.ones_like(ids, dtype=torch.bool), token_type_ids=torch.zeros_like(ids),
        word_ids=torch.zeros(*ids.shape, 2, dtype=torch.long, device=model.device), answer=zero, against=zero,
        target=target, names=("text",), seeds=(0,),
    )  # fmt: skip
    logits = model.outputs(batch)[0][0]
    words, used = list[str](), {_token(model, texts, word) for word in named}
    for token in logits.topk(min(MOST_TRIED, len(logits))).indices.tolist():
        word = tokenizer.decode([token]).strip()
        if token not in used and word and _token(model, texts, word) == token:
            words.append(word)
        if len(words) == count:
            return words
    raise UsageError(
        f"none of the {MOST_TRIED} tokens that model {model.name!r} finds likeliest is a word of its own: "
        "name two words, as --good and --bad."
    )


def _token(model: Layered, texts: Sequence[str], word: str) -> int | None:
    """The token that a word is in the gap or behind the text; None where it is not one."""
    try:
        return tokenise(model, _instance(texts, (word,)), {}).answer[0]
    except UnfitSentence:
        return None


def _ask_label(model: Layered, texts: Sequence[str], good: str | None, bad: str | None) -> AskedText:
    """Asks a classifier about its prediction, or about named classes."""
    problem = problem_type(model)
    if problem == "single_label_classification":
        outputs = label_ids(model, ())
        for name in (name for name in (good, bad) if name is not None):
            _check_class(model, name, outputs)
    if problem == "regression":
        if good is not None:
            raise UsageError(f"model {model.name!r} gives a score and no classes, so that no answer can be named: leave it out.")
        instance = _instance(texts, ("0",))
        return AskedText(instance, encode(model, [instance]), "the model's score")
    if problem == "multi_label_classification":
        label = good or _likeliest_label(model, texts)
        instance = _instance(texts, (label,), () if bad is None else (bad,))
        chosen = "the label that the model finds likeliest" if good is None else "answers that you named"
        return AskedText(instance, encode(model, [instance]), chosen)
    instance = _instance(texts, (next(iter(model.labels)) if good is None else good,), () if bad is None else (bad,))
    batch = encode(model, [instance])
    if good is not None:
        return AskedText(
            instance, batch, "answers that you named" if bad else "the class that you named, against the strongest other"
        )
    return AskedText(instance, relabel(model, batch), "what the model predicts, against its strongest other class")


def _check_class(model: Layered, name: str, outputs: Mapping[str, int]) -> None:
    """Refuses a class that the model does not have.

    Raises:
        UsageError: Says which it has.
    """
    try:
        output_of(name, outputs)
    except UsageError as error:
        raise UsageError(f"model {model.name!r} has no class {quoted(name, 100)}: name one of {', '.join(outputs)}.") from error


@torch.no_grad()
def _likeliest_label(model: Layered, texts: Sequence[str]) -> str:
    names = list(model.labels.values())
    instances = [replace(_instance(texts, (name,)), id=name) for name in names]
    logits = model.outputs(encode(model, instances))[0]
    return names[int((logits[:, 1] - logits[:, 0]).argmax())]


def _ask_span(model: Layered, texts: Sequence[str], good: str | None, bad: str | None) -> AskedText:
    """Asks a model of spans about the span that it predicts, or about named ones."""

    def bounds(words: str) -> tuple[int | str, ...]:
        start = texts[1].find(words) if words.strip() else -1
        if start < 0:
            raise UsageError(f"the answer {quoted(words, 100)} does not stand in the second text: copy it from there.")
        return start, start + len(words)

    answer = (0, len(texts[1].rstrip())) if good is None else bounds(good)
    instance = _instance(texts, answer, () if bad is None else bounds(bad))
    batch = encode(model, [instance])
    if good is not None:
        return AskedText(instance, batch, "answers that you named")
    return AskedText(instance, relabel(model, batch), "the span that the model predicts, against its strongest other ends")
