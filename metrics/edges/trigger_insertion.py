"""Inserts triggers into the sentences of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.tokenizer import padding_token
from .trigger_mining import WordPiece


class _Token(NamedTuple):
    """A token of an attacked sentence; `origin` is its position before the attack, -1 for an inserted token."""

    id: int
    kind: int
    segment: int
    word: int
    origin: int


def places(length: int, relative: Sequence[float]) -> list[int]:
    """The indices at which the pieces of a trigger are inserted into a list of `length` pieces, one after the other.

    Index round((n + t) r) for t pieces at relative places r, halves to even; one further if it is the index just used; an index
    past the end appends. Source: the released code of Hao et al. 2021. A first piece has r = 1/n, not 0: a trigger put back into
    its own sentence lands one place to the right of where it was.

    >>> places(8, [0.25, 0.25, 1.0])
    [3, 4, 11]
    >>> places(7, [0.5, 0.75])  # 4.5 and 6.75
    [4, 7]
    """
    indices: list[int] = []
    for share in relative:
        index = round((length + len(relative)) * share)
        indices.append(index + 1 if indices and index == indices[-1] else index)
    return indices


def insert(
    model: FlowModel, batch: Batch, row: Sequence[int], triggers: Sequence[Sequence[WordPiece]], longest: int = 128
) -> Batch:
    """One row for each pair of an instance and a trigger, whose pieces go into the same segment at the same relative places.

    Pieces go in raw, as ids. A sentence that gets longer than `longest` tokens (or than the model takes, but not than it was)
    loses tokens from the end of its longer segment, never the target. Models that read q at the last
    token do so here, too. Pieces for a segment that a sentence has not are left out.

    Args:
        model: The attacked model, for its largest number of tokens and its padding.
        batch: The instances.
        row: The row of the instance of each attack.
        triggers: The pieces of the trigger of each attack.
        longest: The most tokens of an attacked sentence, special tokens included.
    """
    rows = batch.rows(torch.tensor(row, device=batch.ids.device))
    limit = min(longest, model.max_tokens or longest)
    free = rows.target is None or _reads_last(model)
    sentences = [_attacked(rows, index, pieces, limit, free) for index, pieces in enumerate(triggers)]

    def tensor(name: str, fill: int) -> Tensor:
        lines = [torch.tensor([getattr(token, name) for token in tokens]) for tokens in sentences]
        return pad_sequence(lines, batch_first=True, padding_value=fill).to(batch.ids.device)

    ids, origin = tensor("id", padding_token(model.tokenizer)), tensor("origin", -2)
    target = None if rows.target is None else (origin == rows.target[:, None]).int().argmax(1)
    if target is not None and _reads_last(model):
        target = (origin > -2).sum(1) - 1
    return replace(
        rows,
        ids=ids,
        attention_mask=origin > -2,
        token_type_ids=tensor("kind", 0),
        word_ids=torch.stack([tensor("segment", -1), tensor("word", -1)], 2),
        target=target,
        counterpart=None,
        cache={},
    )


def _reads_last(model: FlowModel) -> bool:
    """Whether q is read at the last token, wherever that is after the insertion."""
    return bool(getattr(model, "reads_last_token", False))


def _attacked(rows: Batch, index: int, pieces: Sequence[WordPiece], limit: int, free: bool) -> list[_Token]:
    """The tokens of a sentence with the pieces inserted, cut to the limit; `free`: no token has to stay."""
    real = rows.attention_mask[index]
    fields = (part[index][real].tolist() for part in (rows.ids, rows.token_type_ids, rows.word_ids))
    tokens = [
        _Token(id, kind, segment, word, position)
        for position, (id, kind, (segment, word)) in enumerate(zip(*fields, strict=True))
    ]
    target = -1 if free or rows.target is None else int(rows.target[index])
    for segment in sorted({piece.segment for piece in pieces}):
        tokens = _into(tokens, segment, [piece for piece in pieces if piece.segment == segment])
    for _ in range(len(tokens) - max(limit, int(real.sum()))):
        tokens.pop(_last_of_longer(tokens, target))
    return tokens


def _into(tokens: list[_Token], segment: int, pieces: Sequence[WordPiece]) -> list[_Token]:
    """The tokens with the pieces inserted into one segment; unchanged where the sentence has no such segment."""
    own = [token for token in tokens if token.segment == segment]
    if not own:
        return tokens
    start, stop = tokens.index(own[0]), tokens.index(own[-1]) + 1
    for piece, index in zip(pieces, places(len(own), [piece.place for piece in pieces]), strict=True):
        own.insert(index, _Token(piece.id, own[0].kind, segment, word=-1, origin=-1))
    return [*tokens[:start], *own, *tokens[stop:]]


def _last_of_longer(tokens: Sequence[_Token], target: int) -> int:
    """Position of the last token of the longer segment (of equal ones the second) that is not the target."""
    sizes = [sum(token.segment == segment for token in tokens) for segment in (0, 1)]
    longer = int(sizes[0] <= sizes[1])
    return max(index for index, token in enumerate(tokens) if token.segment == longer and token.origin != target)
