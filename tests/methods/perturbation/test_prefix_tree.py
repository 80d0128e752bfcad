"""The tree of prefixes of a GRU: its leaves and its steps."""

from __future__ import annotations

from math import comb

import torch

from flowgauge.methods.perturbation.exact_erasure import Search
from flowgauge.methods.perturbation.prefix_tree import PrefixTree
from flowgauge.models.baseline import removed_word


def test_the_leaves_of_the_tree_are_all_sets_with_the_grus_own_outputs(counting, digits):
    search = Search(counting, digits, removed_word(counting, digits, "zero"), None)
    for size in range(4):
        whole: dict[tuple[int, ...], torch.Tensor] = {}
        for row, keep, outputs in search._in_batches(list(range(len(digits))), size):
            whole |= {(int(r), *k.tolist()): o for r, k, o in zip(row, keep, outputs[0], strict=True)}
        shared: dict[tuple[int, ...], torch.Tensor] = {}
        for row, keep, outputs in search._by_prefix(list(range(len(digits))), size):
            shared |= {(int(r), *k.tolist()): o for r, k, o in zip(row, keep, outputs[0], strict=True)}
        assert shared.keys() == whole.keys() and len(shared) == sum(comb(n, size) for n in search.sizes)
        for key, logits in whole.items():
            torch.testing.assert_close(shared[key], logits, rtol=0, atol=1e-12)


def test_the_tree_takes_few_steps(counting, digits, monkeypatch):
    steps, whole = [], PrefixTree._step

    def counted(*args):
        steps.append(whole(*args))
        return steps[-1]

    monkeypatch.setattr(PrefixTree, "_step", counted)
    index = torch.tensor([max(range(len(digits)), key=lambda row: digits.lengths[row])])
    one = digits.rows(index)
    places = counting.maskable(one)[0].nonzero()[:, 0]
    tree = PrefixTree.of(counting, one, counting.words(one), removed_word(counting, one, "zero"), places)
    n = len(places)
    (leaves,) = tree.leaves(3)
    assert len(leaves.keep) == comb(n, 3)
    smaller = sum(comb(n - 3 + k, k + 1) for k in range(3))  # beginnings with fewer than 3 words from which 3 can still come
    assert sum(len(made.keep) for made in steps) <= comb(n + 1, 4) + smaller + comb(n, 3)
