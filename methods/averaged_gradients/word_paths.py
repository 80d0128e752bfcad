"""Paths from a baseline to a word's vector near the vectors of real words, monotone in every entry (Sanyal & Ren 2021)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ...models.memory import affordable

Vectors = Float[Tensor, "words width"]
Table = Float[Tensor, "vocabulary width"]
SEARCH = 1 / 8
"""Share of the memory budget of the words that look for their next words at once."""


def monotone(
    vectors: Float[Tensor, "*#some width"], at: Float[Tensor, "*#some width"], start: Float[Tensor, "*#some width"], steps: int
) -> Float[Tensor, "*#some width"]:
    """The vectors with every entry that does not lie between two ends in the place of an entry that does.

    Such an entry becomes at - (at - start) / steps, a step from one end towards the other. Source: Sanyal & Ren 2021, section 3.

    Args:
        vectors: Vectors of real words.
        at: The end from which the path comes: the word, or the point before.
        start: The baseline, to which it goes.
        steps: Number of real words on the path.

    >>> monotone(torch.tensor([0.5, 3.0]), torch.tensor([1.0, 1.0]), torch.zeros(2), steps=4)
    tensor([0.5000, 0.7500])
    """
    between = (torch.minimum(at, start) <= vectors) & (vectors <= torch.maximum(at, start))
    return torch.where(between, vectors, at - (at - start) / steps)


def word_paths(table: Table, words: Vectors, start: Vectors, steps: int, neighbours: int) -> Float[Tensor, "words points width"]:
    """Paths from the baseline to each word over the words of a vocabulary, greedily chosen (Sanyal & Ren 2021, section 3).

    From the word towards the baseline, the next real word is that of the nearest neighbours of the word before which `monotone`
    moves least; the words before, the word itself and the baseline are left out. Where no neighbour is left, the path jumps to
    the baseline. The point of each real word is its vector after `monotone` with the point before, so that every entry
    runs from the baseline to the word without a turn. As in the authors' code, neighbours are compared by `monotone` with the
    vector of the real word before, and not with its point.

    Args:
        table: Word vectors of the vocabulary.
        words: The vectors of the words (W, E), which need not be in the table.
        start: The baseline's vector of each word (W, E).
        steps: Number of real words on a path.
        neighbours: Nearest words of which the next is chosen.

    Returns:
        The points (W, steps + 2, E): the baseline first, the word last.
    """
    each = (len(table) * 2 + 6 * min(neighbours + 1, len(table)) * table.shape[1]) * table.element_size()
    parts = [
        _paths(table, words[some], start[some], steps, neighbours)
        for some in torch.arange(len(words), device=words.device).split(affordable(each, SEARCH))
    ]
    return torch.cat(parts)


def _paths(table: Table, words: Vectors, start: Vectors, steps: int, neighbours: int) -> Float[Tensor, "words points width"]:
    real, points = words, [words]
    used = torch.zeros(len(words), len(table), dtype=torch.bool, device=words.device)
    for _ in range(steps):
        near = torch.cdist(real, table).topk(min(neighbours + 1, len(table)), largest=False).indices  # the word itself is one
        vectors, end = table[near], start[:, None]
        moved = (vectors - monotone(vectors, real[:, None], end, steps)).norm(dim=-1)
        left_out = used.gather(1, near) | (vectors == words[:, None]).all(-1) | (vectors == end).all(-1)
        nearest = moved.masked_fill(left_out, torch.inf).min(1)
        arrived = (nearest.values.isinf() | (real == start).all(-1))[:, None]
        chosen = near.gather(1, nearest.indices[:, None])
        used.scatter_(1, chosen, True)
        real = torch.where(arrived, start, table[chosen[:, 0]])
        points.append(monotone(real, points[-1], start, steps))
    return torch.stack([start, *reversed(points)], 1)


def halved(paths: Float[Tensor, "words points width"]) -> Float[Tensor, "words more width"]:
    """The paths with the middle of every two points between them.

    >>> halved(torch.tensor([[[0.0], [1.0], [4.0]]])).flatten().tolist()
    [0.0, 0.5, 1.0, 2.5, 4.0]
    """
    middles = (paths[:, :-1] + paths[:, 1:]) / 2
    pairs = torch.stack([paths[:, :-1], middles], 2).flatten(1, 2)
    return torch.cat([pairs, paths[:, -1:]], 1)
