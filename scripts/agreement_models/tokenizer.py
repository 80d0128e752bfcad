"""A tokenizer with one token a word, and the folder of an embedded model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from .grammar import Grammar
from .recipe import RECIPE, Recipe

LONGEST = 32
"""Tokens of the longest text, special ones included."""


def word_tokenizer(
    grammar: Grammar, special: Mapping[str, str], single: str, pair: str, inputs: tuple[str, ...]
) -> PreTrainedTokenizerFast:
    """A fast tokenizer with one token for each lower-cased word or punctuation mark.

    Args:
        grammar: Its words follow the special tokens in the vocabulary.
        special: The special tokens by their role, such as `pad`, in the order of their ids; `unk` must be there.
        single: Where special tokens stand in one text, in the notation of `TemplateProcessing`.
        pair: The same for two texts.
        inputs: What the model is given.
    """
    vocabulary = {word: i for i, word in enumerate((*special.values(), *grammar.vocabulary()))}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token=special["unk"]))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    placed = [(token, vocabulary[token]) for token in special.values() if token in single]
    raw.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=placed)
    names = {f"{role}_token": token for role, token in special.items()}
    return PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=LONGEST, model_input_names=list(inputs), **names)


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, recipe: Recipe, out: Path) -> None:
    """Writes config, float16 weights and tokenizer in the Hugging Face layout, and the recipe beside them.

    Args:
        model: The trained model, in float32.
        tokenizer: Its tokenizer.
        recipe: The settings of the training.
        out: The folder, made where there is none.
    """
    out.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(out)
    model.float()
    (out / "model.safetensors").chmod(0o644)
    (out / RECIPE).write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")
    tokenizer.save_pretrained(out)
    path = out / "tokenizer_config.json"
    entries = json.loads(path.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(dict(sorted(entries.items())), indent=2) + "\n")
