"""Batches with triggers inserted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from .trigger_mining import WordPiece


class _Token(NamedTuple):
    """A token of a sentence under attack; `origin` is its position before, -1 for an inserted one."""

    id: int
    kind: int
    segment: int
    word: int
    origin: int


def places(length: int, relative: Sequence[float]) -> list[int]:
    """Where the pieces of a trigger go in a list of `length` pieces, each inserted after those before it.

    Index round((n + t) r) for t pieces at relative places r, halves to even; one further if it is the index just used; an index
    past the end appends. Source: the released code of Hao et al. 2021. A first piece has r = 1/n, not 0: a trigger put back into
    its own sentence lands one place to the right of where it was.

    >>> places(8, [0.25, 0.25, 1.0])
    [3, 4, 11]
    >>> places(7, [0.5, 0.75])  # 4.5 and 6.75
    [4, 7]
    """
    found: list[int] = []
    for place in relative:
        at = round((length + len(relative)) * place)
        found.append(at + 1 if found and at == found[-1] else at)
    return found


def insert(
    model: FlowModel, batch: Batch, row: Sequence[int], triggers: Sequence[Sequence[WordPiece]], longest: int = 128
) -> Batch:
    """One row for each pair of an instance and a trigger, whose pieces stand in the same segment at the same relative places.

    Pieces go in raw, as ids. A sentence that gets longer than `longest` tokens (or than the model takes, but not than it was)
    loses tokens from the end of its longer segment, never the target. Pieces for a segment that a sentence has not are left out.

    Args:
        model: For its limits and padding.
        batch: The instances.
        row: Of each attack.
        triggers: Of each attack.
        longest: Most tokens, special ones included.
    """
    rows = batch.rows(torch.tensor(row, device=batch.ids.device))
    limit = min(longest, model.max_tokens or longest)
    made = [_attacked(rows, number, pieces, limit) for number, pieces in enumerate(triggers)]

    def tensor(name: str, fill: int) -> Tensor:
        lines = [torch.tensor([getattr(token, name) for token in tokens]) for tokens in made]
        return pad_sequence(lines, batch_first=True, padding_value=fill).to(batch.ids.device)

    ids, origin = tensor("id", model.tokenizer.pad_token_id or 0), tensor("origin", -2)
    target = rows.target
    return replace(
        rows,
        ids=ids,
        attention_mask=origin > -2,
        token_type_ids=tensor("kind", 0),
        word_ids=torch.stack([tensor("segment", -1), tensor("word", -1)], 2),
        target=None if target is None else (origin == target[:, None]).int().argmax(1),
        cache={},
    )


def _attacked(rows: Batch, number: int, pieces: Sequence[WordPiece], limit: int) -> list[_Token]:
    real = rows.attention_mask[number]
    fields = (part[number][real].tolist() for part in (rows.ids, rows.token_type_ids, rows.word_ids))
    tokens = [_Token(id, kind, place, word, at) for at, (id, kind, (place, word)) in enumerate(zip(*fields, strict=True))]
    target = -1 if rows.target is None else int(rows.target[number])
    for segment in sorted({piece.segment for piece in pieces}):
        tokens = _into(tokens, segment, [piece for piece in pieces if piece.segment == segment])
    for _ in range(len(tokens) - max(limit, int(real.sum()))):
        tokens.pop(_last_of_longer(tokens, target))
    return tokens


def _into(tokens: list[_Token], segment: int, pieces: Sequence[WordPiece]) -> list[_Token]:
    own = [token for token in tokens if token.segment == segment]
    if not own:
        return tokens
    start, stop = tokens.index(own[0]), tokens.index(own[-1]) + 1
    for piece, at in zip(pieces, places(len(own), [piece.place for piece in pieces]), strict=True):
        own.insert(at, _Token(piece.id, own[0].kind, segment, -1, -1))
    return [*tokens[:start], *own, *tokens[stop:]]


def _last_of_longer(tokens: Sequence[_Token], target: int) -> int:
    """Position of the last token of the longer segment (of equal ones the second) that is not the target."""
    sizes = [sum(token.segment == segment for token in tokens) for segment in (0, 1)]
    longer = int(sizes[0] <= sizes[1])
    return max(at for at, token in enumerate(tokens) if token.segment == longer and token.origin != target)
