"""The tokens of an instance's counterpart, for methods that exchange states between two runs."""

from __future__ import annotations

from dataclasses import replace

from ...core.errors import UnfitSentence
from ...tasks.instance import Instance
from ..layered import Layered
from ..tokenizer import run_tokenizer
from .next_word import kept
from .tokenise import Encoding, texts_of, word_places


def counterpart_ids(model: Layered, instance: Instance, row: Encoding) -> list[int] | None:
    """The tokens of the counterpart, each in the place of the token that the text has there.

    Args:
        model: For its tokenizer and head.
        instance: The instance.
        row: Its own tokens.

    Returns:
        As many token ids as the text has; None where there is no counterpart, where the tokenizer splits its words otherwise than
        those of the text or does not know one of them, where both texts are the same tokens, or where the text was cut.
    """
    if not instance.counterpart or row.cut:
        return None
    flipped = replace(instance, segments=instance.counterpart, counterpart=())
    try:
        texts = texts_of(model, flipped)
    except UnfitSentence:
        return None
    encoded = run_tokenizer(model.tokenizer, *texts, what=f"the counterpart of {instance.id!r}", return_offsets_mapping=True)
    read = kept(model.tokenizer, encoded) if model.head == "next" else len(encoded["input_ids"])
    ids: list[int] = encoded["input_ids"][:read]
    segments = (encoded.get("token_type_ids") or [0] * len(ids))[: len(ids)]
    if len(ids) != len(row.ids) or word_places(encoded, texts)[:read] != row.words or segments != row.segments:
        return None
    unknown = getattr(model.tokenizer, "unk_token_id", None)
    if any(token == unknown != own for token, own in zip(ids, row.ids, strict=True)):
        return None
    if ids == row.ids:  # what is flipped is one unknown word on both sides
        return None
    return ids if model.head != "masked" or ids[row.target] == row.ids[row.target] else None
