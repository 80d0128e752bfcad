"""Words that a model does not know: its tokenizer reads each of them as the same unknown token."""

from __future__ import annotations

from collections.abc import Sequence

from ..layered import Layered

MOST_NAMED = 8
"""Most words that a sentence names."""


def unknown_words(model: Layered, ids: Sequence[int], places: Sequence[tuple[int, int]], texts: Sequence[str]) -> tuple[str, ...]:
    """The words of an instance that have an unknown token, each once, in order.

    Args:
        model: For its tokenizer.
        ids: Token ids.
        places: Text and blank-separated word of each token; a negative text is that of a special token.
        texts: The texts.
    """
    unknown = getattr(model.tokenizer, "unk_token_id", None)
    split = [text.split() for text in texts]
    found = (split[text][word] for token, (text, word) in zip(ids, places, strict=True) if token == unknown and text >= 0)
    return tuple(dict.fromkeys(found))


def describe_unknown(model: Layered, words: Sequence[str]) -> str:
    """A sentence that names words which a model does not know, without its full stop.

    Args:
        model: For its name and its unknown token.
        words: One or more.
    """
    more = f" and {len(words) - MOST_NAMED} more" if len(words) > MOST_NAMED else ""
    them = "them" if len(words) > 1 else "it"
    return f"{model.name} does not know {', '.join(words[:MOST_NAMED])}{more}: it reads {them} as {model.tokenizer.unk_token}"
