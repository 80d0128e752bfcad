"""Paths over real words against a literal search, their monotony, and a case by hand."""

from __future__ import annotations

import pytest
import torch

from flowgauge.methods.averaged_gradients.word_paths import halved, monotone, word_paths
from flowgauge.models.memory import within_memory


def literal(table, word, start, steps, neighbours):
    """One path, entry by entry, from the description of the greedy strategy."""

    def moved(vector, at):
        return torch.stack(
            [v if min(a, s) <= v <= max(a, s) else a - (a - s) / steps for v, a, s in zip(vector, at, start, strict=True)]
        )

    real, point, path, taken = word, word, [word], {tuple(word.tolist()), tuple(start.tolist())}
    for _ in range(steps):
        others = [row for row in range(len(table)) if not torch.equal(table[row], real)]
        near = sorted(others, key=lambda row: float((table[row] - real).norm()))[:neighbours]
        left = [table[row] for row in near if tuple(table[row].tolist()) not in taken]
        if torch.equal(real, start) or not left:
            real = start
        else:
            real = min(left, key=lambda vector: float((vector - moved(vector, real)).norm()))
        taken.add(tuple(real.tolist()))
        point = moved(real, point)
        path.append(point)
    return torch.stack([start, *reversed(path)])


@pytest.fixture(scope="module")
def table():
    return torch.randn(40, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("neighbours", [1, 4, 12, 100])
@pytest.mark.parametrize("steps", [1, 6])
def test_paths_are_those_of_the_literal_search(table, steps, neighbours):
    words, start = table[[3, 7, 7, 9]], torch.stack([table[0], table[0], torch.zeros(5, dtype=torch.float64), table[5]])
    paths = word_paths(table, words, start, steps, neighbours)
    for path, word, begin in zip(paths, words, start, strict=True):
        assert torch.equal(path, literal(table, word, begin, steps, neighbours))
    with within_memory(1):
        assert torch.equal(word_paths(table, words, start, steps, neighbours), paths)


def test_a_word_outside_of_the_table_has_a_path_too(table):
    word, start = table[[3]] + 0.01, table[[0]]
    (path,) = word_paths(table, word, start, 4, 6)
    assert torch.equal(path, literal(table, word[0], start[0], 4, 7))  # it is no neighbour of itself
    assert torch.equal(path[-1], word[0]) and not torch.equal(path[-2], path[0])


def test_every_entry_runs_from_the_baseline_to_the_word(table):
    words, start = table[5:20], table[[0]].expand(15, -1)
    for halvings in range(2):
        paths = word_paths(table, words, start, 8, 10)
        for _ in range(halvings):
            paths = halved(paths)
        assert torch.equal(paths[:, 0], start) and torch.equal(paths[:, -1], words)
        assert paths.shape[1] == 9 * 2**halvings + 1
        assert (paths.diff(dim=1) * (words - start)[:, None] >= -1e-15).all()
        assert paths.diff(dim=1).any(-1).sum(1).min() > 3


def test_a_path_by_hand():
    """On a line from 0 to 8, the word 6 lies between and is taken first; 9 lies beyond and is moved to a step of 1/2."""
    table = torch.tensor([[0.0], [8.0], [6.0], [9.0]])
    assert word_paths(table, table[[1]], table[[0]], 1, 3).flatten().tolist() == [0, 6, 8]
    assert word_paths(table, table[[1]], table[[0]], 2, 3).flatten().tolist() == [0, 3, 6, 8]
    assert word_paths(table, table[[1]], table[[0]], 3, 3).flatten().tolist() == [0, 0, 4, 6, 8]


def test_no_words_have_no_paths(table):
    assert word_paths(table, table[:0], table[:0], 3, 2).shape == (0, 5, 5)


def test_what_lies_between_stays():
    assert monotone(torch.tensor([-0.5, -2.0, 1.0]), torch.tensor([-1.0, -1.0, 1.0]), torch.tensor([0.0, 0.0, 1.0]), 2).tolist() \
        == [-0.5, -0.5, 1.0]  # fmt: skip
