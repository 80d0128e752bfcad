"""What a model of the next word reads of an instance, and which token an answer is to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...core.errors import CannotAsk, UnfitSentence, UsageError, quoted
from ...tasks.instance import GAP, Instance
from ..layered import Layered
from ..tokenizer import run_tokenizer

REMEDY = "or leave such sentences out with --on-split skip"


class Prefix(NamedTuple):
    """The text that a model goes on with, and what stands between it and the next word: a blank, or nothing."""

    text: str
    joint: str


def prefix_of(model: Layered, instance: Instance) -> Prefix:
    """What a model of the next word reads: the words before the gap, or the whole text where there is no gap.

    Args:
        model: For its name.
        instance: One text. Words may follow its gap only where it says that those before decide (`left_to_right`).

    Raises:
        UsageError: Several gaps.
        CannotAsk: Two texts, a gap at the start, or one with words behind it that may decide.

    >>> from types import SimpleNamespace
    >>> prefix_of(SimpleNamespace(name="m"), Instance("i", ("Ann hurt [MASK].",), ("herself",)))
    Prefix(text='Ann hurt', joint=' ')
    """
    if len(instance.segments) != 1:
        raise CannotAsk(
            f"instance {instance.id!r} is a pair of texts, and model {model.name!r}, which predicts the next word, goes on with "
            f"one: choose another model, {REMEDY}."
        )
    before, gap, after = instance.segments[0].partition(GAP)
    if GAP in after:
        raise UsageError(
            f"instance {instance.id!r} needs {GAP} once at most for model {model.name!r}, which predicts the next word: "
            f"{instance.segments[0]!r}."
        )
    if any(letter.isalnum() for letter in after) and not instance.left_to_right:
        raise CannotAsk(
            f"the words {quoted(after.strip(), 60)} behind the gap of instance {instance.id!r} may decide its answer, and model "
            f"{model.name!r} reads only those before it: choose a masked LM, {REMEDY} (a file can say in a column "
            "left_to_right that the words before the gap decide)."
        )
    text = before.rstrip()
    if not text:
        raise CannotAsk(
            f"the gap of instance {instance.id!r} is its first word, so that model {model.name!r}, which predicts the next word, "
            f"has nothing to go on with: choose a masked LM, {REMEDY}."
        )
    return Prefix(text, before[len(text) :] if gap else " ")


def kept(tokenizer: Any, encoded: Any) -> int:
    """How many tokens a model of the next word reads: all but the special ones that the tokenizer adds at the end.

    Args:
        tokenizer: For its special tokens.
        encoded: What it returns for one text, with offsets.
    """
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    count = len(ids)
    while count and ids[count - 1] in tokenizer.all_special_ids and offsets[count - 1][0] == offsets[count - 1][1]:
        count -= 1
    return count


def next_token(model: Layered, instance: Instance, prefix: Prefix, ids: Sequence[int], word: str) -> int:
    """The one token that a word is behind the prefix.

    Args:
        model: For its tokenizer.
        instance: For its name, in messages.
        prefix: What the model reads.
        ids: The tokens of the prefix.
        word: The answer.

    Raises:
        UnfitSentence: The word is unknown or several tokens, or the prefix has other tokens with it.
    """
    tokenizer, text = model.tokenizer, prefix.text + prefix.joint + word
    encoded = run_tokenizer(tokenizer, text, what=f"instance {instance.id!r}", return_offsets_mapping=True)
    filled: list[int] = encoded["input_ids"][: kept(tokenizer, encoded)]
    same, new = filled[: len(ids)] == list(ids), filled[len(ids) :]
    if same and len(new) == 1 and new[0] not in tokenizer.all_special_ids:
        return new[0]
    if not same:
        how = "joins it with the words before"
    else:
        how = "does not know it" if len(new) < 2 else f"splits it ({len(new)} tokens)"
    raise UnfitSentence(
        f"the answer {word!r} of instance {instance.id!r} must be one token behind the words before it, but model {model.name!r} "
        f"{how}; choose another model or other words, {REMEDY}."
    )
