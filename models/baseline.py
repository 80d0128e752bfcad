"""Baselines: the word vectors that a path to the input starts from, and those that take the place of removed words."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..core.errors import NotApplicable, UsageError
from .batch import Batch
from .layered import Layered

Baseline = Literal["mask", "zero", "pad", "mean", "mask-words", "zero-words", "pad-words", "mean-words"]
"""[MASK], zeros, padding, or the mean over the vocabulary: of every token, or of words alone, so that [CLS], [SEP] and other
special tokens keep their own vectors, as they do in most other tools."""
RemovedWord = Literal["zero", "mask"]
"""The one vector that takes the place of every removed word, in methods that learn none: zeros or [MASK]."""


def baseline_words(model: Layered, batch: Batch, baseline: Baseline) -> Float[Tensor, "batch tokens word"]:
    """Word vectors of a baseline: of [MASK], of padding, zeros, or the mean over the vocabulary.

    Positions that the model does not let be masked keep their own vectors; padding has the baseline's. With `-words`, special
    tokens keep theirs, too.

    Args:
        model: Any model; `mean` needs one with a table of words, `mask` and `pad` a tokenizer with that token.
        batch: The instances.
        baseline: One of `Baseline`.

    Raises:
        NotApplicable: The model has no table of words, or its tokenizer no such token.
        UsageError: There is no such baseline.
    """
    words, kind = model.words(batch), baseline.removesuffix("-words")
    moved = model.maskable(batch)
    if kind != baseline:
        moved = moved & (batch.word_ids[..., 0] >= 0)
    if kind == "zero":
        rows = torch.zeros_like(words)
    elif kind == "mean":
        table = getattr(model, "word_embedding", None)
        if table is None:
            raise NotApplicable(f"the model {model.name!r} has no table of words to take the mean of; choose baseline zero.")
        rows = table.weight.mean(0)
    elif kind in ("mask", "pad"):
        token = getattr(model.tokenizer, f"{kind}_token_id")
        if token is None:
            usable = "zero or mean" if hasattr(model, "word_embedding") else "zero"
            raise NotApplicable(f"the tokenizer of {model.name!r} has no {kind} token; choose baseline {usable}.")
        rows = model.words(replace(batch, ids=torch.full_like(batch.ids, token), word_vectors=None, cache={}))
    else:
        raise UsageError(f"no baseline is called {baseline!r}; there are {', '.join(get_args(Baseline))}.")
    return torch.where((moved | ~batch.attention_mask)[..., None], rows, words)


def moving_words(model: Layered, batch: Batch, baseline: Baseline = "mask") -> Bool[Tensor, "batch tokens"]:
    """Which words have another vector than the baseline's; the rest, such as a gap, contribute nothing along the path."""
    with torch.no_grad():
        delta = model.words(batch) - baseline_words(model, batch, baseline)
    return (delta.abs().amax(-1) > 0) & batch.attention_mask


def blanked(model: Layered, batch: Batch) -> Batch:
    """The batch with the word vector of [MASK] at every position that may be masked.

    Raises:
        NotApplicable: The tokenizer has no mask token.
    """
    words, free = model.words(batch), (batch.attention_mask & model.maskable(batch))[..., None]
    return replace(batch, word_vectors=torch.where(free, baseline_words(model, batch, "mask"), words), cache={})


@torch.no_grad()
def removed_word(model: Layered, batch: Batch, baseline: RemovedWord) -> Float[Tensor, " word"]:
    """The vector that takes the place of every removed word: zeros, or the mask token's word vector.

    Args:
        model: Any model.
        batch: Instances of the model; their words do not matter.
        baseline: `zero` or `mask`.

    Raises:
        NotApplicable: The tokenizer has no mask token.
    """
    first = batch.rows(torch.zeros(1, dtype=torch.long, device=batch.ids.device))
    if baseline == "zero":
        return torch.zeros_like(model.words(first)[0, 0])
    token = getattr(model.tokenizer, "mask_token_id", None)
    if token is None:
        raise NotApplicable(f"the tokenizer of {model.name!r} has no mask token: use baseline=zero.")
    return model.words(replace(first, ids=torch.full_like(first.ids, token), word_vectors=None, cache={}))[0, 0]
