"""Baselines: the word vectors that a path to the input starts from, and those that take the place of removed words."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..core.errors import NotApplicable, UsageError
from .batch import Batch
from .layered import Layered

Baseline = Literal["mask", "zero", "pad", "mean", "mask-words", "zero-words", "pad-words", "mean-words"]
"""[MASK], zeros, padding (where there is none, or a decoder's is zeros, the end of text), or the mean over the vocabulary.

All of them of every token, or of words alone (`-words`), so that [CLS], [SEP], the begin of text and other special tokens keep
their own vectors, as they do in most other tools. Each model has a default, by its family: [MASK] for encoders, and padding for
decoders, which are trained without [MASK]."""
RemovedWord = Literal["zero", "mask", "pad"]
"""The one vector that takes the place of every removed word, in methods that learn none: zeros, [MASK] or padding."""
CHUNK = 4096
"""Words whose vectors are averaged at once."""


def default_baseline(model: Layered) -> Baseline:
    """The baseline of a model where nobody chooses one: that of its family, else [MASK]."""
    baseline: Baseline = getattr(model, "default_baseline", "mask")
    return baseline


def filling_token(model: Layered, kind: str) -> int | None:
    """The id of the token `mask` or `pad` (where there is no padding, of the end of text); None where there is none.

    On decoders, padding whose word vector is zeros, as it is before any training, gives way to the end of text: norms without a
    mean (RMSNorm) turn a path from zeros into a jump at its start, which no samples of the path meet.
    """
    names = ("pad", "eos") if kind == "pad" else (kind,)
    found = [token for name in names if (token := getattr(model.tokenizer, f"{name}_token_id", None)) is not None]
    table = getattr(model, "word_embedding", None)
    if len(found) == 2 and table is not None and default_baseline(model) == "pad" and not table.weight[found[0]].any():
        return found[1]
    return next(iter(found), None)


def baseline_words(model: Layered, batch: Batch, baseline: Baseline) -> Float[Tensor, "batch tokens word"]:
    """Word vectors of a baseline: of [MASK], of padding, zeros, or the mean over the vocabulary of the model's word vectors.

    Positions that the model does not let be masked keep their own vectors; padding has the baseline's. With `-words`, special
    tokens keep theirs, too.

    Args:
        model: Any model; `mean` needs one with a table of words, `mask` and `pad` a tokenizer with that token.
        batch: The instances.
        baseline: One of `Baseline`; `mask` where nobody chose one (a run resolves the model's default before).

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
        rows = _mean_word(table)
    elif kind in ("mask", "pad"):
        token = filling_token(model, kind)
        if token is None:
            raise NotApplicable(f"the tokenizer of {model.name!r} has no {kind} token; choose baseline {_usable(model)}.")
        rows = model.words(replace(batch, ids=torch.full_like(batch.ids, token), word_vectors=None, cache={}))
    else:
        raise UsageError(f"no baseline is called {baseline!r}; there are {', '.join(get_args(Baseline))}.")
    return torch.where((moved | ~batch.attention_mask)[..., None], rows, words)


def _usable(model: Layered) -> str:
    """The baselines that a model has in any case, in words."""
    names = ["pad"] * (filling_token(model, "pad") is not None) + ["zero"] + ["mean"] * hasattr(model, "word_embedding")
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def _mean_word(table: nn.Embedding) -> Float[Tensor, " word"]:
    """The mean word vector as the model looks it up: Gemma's table multiplies its rows by a factor."""
    if type(table).forward is nn.Embedding.forward:
        return table.weight.mean(0)
    ids = torch.arange(len(table.weight), device=table.weight.device)
    total = torch.stack([table(part).sum(0, dtype=torch.float64) for part in ids.split(CHUNK)]).sum(0)
    return (total / len(ids)).to(table.weight.dtype)


def moving_words(model: Layered, batch: Batch, baseline: Baseline = "mask") -> Bool[Tensor, "batch tokens"]:
    """Which words have another vector than the baseline's; the rest, such as a gap, contribute nothing along the path."""
    with torch.no_grad():
        delta = model.words(batch) - baseline_words(model, batch, baseline)
    return (delta.abs().amax(-1) > 0) & batch.attention_mask


def blanked(model: Layered, batch: Batch) -> Batch:
    """The batch with the word vector of [MASK], on decoders of padding, at every position that may be masked.

    Raises:
        NotApplicable: The tokenizer has no such token.
    """
    words, free = model.words(batch), (batch.attention_mask & model.maskable(batch))[..., None]
    blank = baseline_words(model, batch, default_baseline(model))
    return replace(batch, word_vectors=torch.where(free, blank, words), cache={})


@torch.no_grad()
def removed_word(model: Layered, batch: Batch, baseline: RemovedWord) -> Float[Tensor, " word"]:
    """The vector that takes the place of every removed word: zeros, or the word vector of the mask token or of padding.

    Args:
        model: Any model.
        batch: Instances of the model; their words do not matter.
        baseline: One of `RemovedWord`.

    Raises:
        NotApplicable: The tokenizer has no such token.
    """
    first = batch.rows(torch.zeros(1, dtype=torch.long, device=batch.ids.device))
    if baseline == "zero":
        return torch.zeros_like(model.words(first)[0, 0])
    token = filling_token(model, baseline)
    if token is None:
        usable = "pad or zero" if filling_token(model, "pad") is not None else "zero"
        raise NotApplicable(f"the tokenizer of {model.name!r} has no {baseline} token: use baseline={usable}.")
    return model.words(replace(first, ids=torch.full_like(first.ids, token), word_vectors=None, cache={}))[0, 0]
