"""Scores of distances: biases and products by hand, their linear parts, and transposes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from flowgauge.models.layers.norms import layer_norm_of
from flowgauge.models.layers.relative import Disentangled, DistanceBias

DRAWN = torch.Generator().manual_seed(0)
TOKENS, HEADS, SIZE, SPAN = 7, 2, 3, 3


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=DRAWN)


def bucket(apart: torch.Tensor) -> torch.Tensor:
    """Each of the distances -3 to 3 for itself, and longer ones together."""
    return apart.clamp(-4, 4)


def disentangled(**kind) -> Disentangled:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        table, norm = nn.Embedding(2 * SPAN, 5), nn.LayerNorm(5)
        keys, queries = nn.Linear(5, HEADS * SIZE), nn.Linear(5, HEADS * SIZE)
        norm.weight.data.uniform_(0.5, 1.5)
    for module in (table, norm, keys, queries):
        module.double().requires_grad_(False)
    return replace(Disentangled(table, layer_norm_of(norm), bucket, keys, queries, HEADS, 0.4), **kind)


def by_hand(relative: Disentangled, query: torch.Tensor, key: torch.Tensor, i: int, j: int) -> torch.Tensor:
    """Scores of one query and one key, head by head."""
    row = min(max(int(bucket(torch.tensor(i - j))) + SPAN, 0), 2 * SPAN - 1)
    vector = relative.table.weight[row]
    vector = vector if relative.norm is None else relative.norm(vector)
    total = torch.zeros(HEADS, dtype=torch.float64)
    for part, x in ((relative.keys, query[i]), (relative.queries, key[j])):
        if part is not None:
            total += (part(vector).unflatten(0, (HEADS, SIZE)) * x).sum(-1) * relative.scale
    return total


@pytest.mark.parametrize("kind", [{}, {"norm": None}, {"keys": None}, {"queries": None}], ids=str)
def test_products_with_vectors_of_distances_by_hand(kind) -> None:
    relative, query, key = disentangled(**kind), draw(2, TOKENS, HEADS, SIZE), draw(2, TOKENS, HEADS, SIZE)
    added = relative.added(query, key, None)
    assert added.shape == (2, HEADS, TOKENS, TOKENS)
    for i, j in ((0, 6), (6, 0), (3, 3), (2, 4), (5, 4)):
        torch.testing.assert_close(added[1, :, i, j], by_hand(relative, query[1], key[1], i, j))
    at = torch.tensor([[4, 1], [0, 6]])
    some = torch.stack([query[row, where] for row, where in enumerate(at)])
    expected = torch.stack([added[row][:, where] for row, where in enumerate(at)])
    torch.testing.assert_close(relative.added(some, key, at), expected)


def test_linear_parts_sum_to_what_is_added() -> None:
    relative, query, key = disentangled(), draw(2, TOKENS, HEADS, SIZE), draw(2, TOKENS, HEADS, SIZE)
    everywhere = torch.arange(TOKENS).expand(2, -1)
    asking = relative.asking(query.transpose(1, 2), everywhere, TOKENS)
    keyed = relative.keyed(key.transpose(1, 2), everywhere, None, TOKENS)
    torch.testing.assert_close(asking + keyed.mT, relative.added(query, key, None))
    at, to = torch.tensor([[2, 5, 0], [6, 1, 1]]), torch.tensor([[[0, 3], [5, 6], [1, 0]], [[6, 6], [2, 4], [0, 1]]])
    keys = torch.stack([key[row, where] for row, where in enumerate(at)]).transpose(1, 2)
    found = relative.keyed(keys, at, to, TOKENS)
    expected = torch.stack([keyed[row][:, where] for row, where in enumerate(at)])
    torch.testing.assert_close(found, expected.gather(-1, to[:, None].expand(-1, HEADS, -1, -1)))


def test_pulls_are_the_transposes_of_the_linear_parts() -> None:
    relative, x = disentangled(), draw(2, HEADS, 3, SIZE)
    at, to = torch.tensor([[2, 5, 0], [6, 1, 1]]), torch.tensor([[[0, 3], [5, 5], [1, 0]], [[6, 6], [2, 4], [0, 1]]])
    asked, keyed = relative.asking(x, at, TOKENS), relative.keyed(x, at, to, TOKENS)
    first, second = draw(*asked.shape), draw(*keyed.shape)
    torch.testing.assert_close((relative.asking_pull(first, at) * x).sum(), (first * asked).sum())
    torch.testing.assert_close((relative.keyed_pull(second, at, to, TOKENS) * x).sum(), (second * keyed).sum())


@pytest.mark.parametrize("missing", ["keys", "queries"])
def test_a_part_that_a_model_lacks_is_none(missing) -> None:
    relative, x, at = disentangled(**{missing: None}), draw(1, HEADS, 2, SIZE), torch.tensor([[0, 1]])
    to, grad = at[:, :, None], draw(1, HEADS, 2, 1)
    lacking = (relative.asking(x, at, 2), relative.asking_pull(draw(1, HEADS, 2, 2), at))
    present = (relative.keyed(x, at, to, 2), relative.keyed_pull(grad, at, to, 2))
    lacking, present = (lacking, present) if missing == "keys" else (present, lacking)
    assert all(part is None for part in lacking) and all(part is not None for part in present)


def test_a_bias_of_distances_by_hand_and_without_linear_parts() -> None:
    table = nn.Embedding(5, HEADS).double().requires_grad_(False)
    relative = DistanceBias(table, lambda apart: apart.clamp(-2, 2) + 2)
    query, key = draw(2, TOKENS, HEADS, SIZE), draw(2, TOKENS, HEADS, SIZE)
    added = relative.added(query, key, None)
    assert torch.equal(added[1, :, 6, 1], table.weight[4]) and torch.equal(added[0, :, 2, 3], table.weight[1])
    at = torch.tensor([[4], [0]])
    torch.testing.assert_close(relative.added(query[:, :1], key, at)[:, :, 0], torch.stack([added[0, :, 4], added[1, :, 0]]))
    x, where = draw(2, HEADS, 1, SIZE), torch.tensor([[0], [1]])
    pairs = draw(2, HEADS, 1, 1)
    parts = (
        relative.asking(x, where, 7),
        relative.keyed(x, where, None, 7),
        relative.asking_pull(pairs, where),
        relative.keyed_pull(pairs, where, where[..., None], 7),
    )
    assert parts == (None,) * 4
