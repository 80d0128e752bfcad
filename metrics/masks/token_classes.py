"""The class of each token: special, by its word's sentiment label, by the template's slot, or by part of speech."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from ...core.errors import NotApplicable
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...tasks.instance import Instance

By = Literal["label", "slot", "part_of_speech"]
SENTIMENT = ("very negative", "negative", "neutral", "positive", "very positive")
PARTS = {
    "AJ": "ADJ", "AT": "DET", "AV": "ADV", "CJC": "CCONJ", "CJ": "SCONJ", "CRD": "NUM", "DPS": "DET", "DT": "DET", "EX": "PRON",
    "IN": "ADP", "ITJ": "INTJ", "NP": "PROPN", "NN": "NOUN", "ORD": "ADJ", "PN": "PRON", "POS": "PART", "PR": "ADP",
    "PU": "PUNCT", "TO": "PART", "VB": "AUX", "VD": "AUX", "VH": "AUX", "VM": "AUX", "VV": "VERB", "XX": "PART",
}  # fmt: skip
"""Prefixes of the tags of the British National Corpus (C5), as universal parts of speech; the first that fits."""


def token_classes(model: FlowModel, batch: Batch, row: int, instance: Instance, by: By) -> list[str]:
    """The class of each real token; special tokens are classes of their own, by their text.

    Args:
        model: Its tokenizer names special tokens.
        batch: The batch of the instance.
        row: The instance's row there.
        instance: The instance, whose words or truth say the classes.
        by: `label`, `slot` or `part_of_speech`.

    Raises:
        NotApplicable: The instance does not say its words' classes, or the tagger is not installed.
    """
    words = _word_classes(instance, by)
    real = batch.attention_mask[row]
    return [
        words.get((segment, word), "unlabelled") if segment >= 0 else str(model.tokenizer.convert_ids_to_tokens(token))
        for token, (segment, word) in zip(batch.ids[row][real].tolist(), batch.word_ids[row][real].tolist(), strict=True)
    ]


def _word_classes(instance: Instance, by: By) -> dict[tuple[int, int], str]:
    """The class of each word, by its segment and index."""
    texts = [text.split() for text in instance.segments]
    words = [(segment, word) for segment, text in enumerate(texts) for word in range(len(text))]
    if by == "part_of_speech":
        return dict(zip(words, (part for text in texts for part in parts_of_speech(tuple(text))), strict=True))
    if by == "slot":
        if not instance.slots:
            raise NotApplicable("the task's instances have no slots: use by=label or by=part_of_speech.")
        return dict(zip(words, instance.slots, strict=True))
    labels: Any = instance.truth.get("token_labels")
    if labels is None:
        raise NotApplicable("the task's instances have no word labels: use sst or sst/binary, by=slot or by=part_of_speech.")
    return {(0, word): SENTIMENT[int(label)] for word, label in enumerate(labels)}


def parts_of_speech(words: tuple[str, ...]) -> list[str]:
    """The universal part of speech of each word of a sentence, by the Hanover tagger (Wartena 2023).

    Raises:
        NotApplicable: The tagger is not installed.
    """
    return [
        next((part for prefix, part in PARTS.items() if tag.startswith(prefix)), "X") for _, _, tag in _tagger().tag_sent(words)
    ]


@cache
def _tagger() -> Any:
    try:
        from HanTa.HanoverTagger import HanoverTagger
    except ImportError:
        raise NotApplicable("parts of speech need a tagger: pip install 'flowgauge[pos]'.") from None
    return HanoverTagger("morphmodel_en.pgz")
