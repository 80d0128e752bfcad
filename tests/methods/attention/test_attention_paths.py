"""Attention paths against all paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flowgauge.methods.attention.attention_paths import AttentionPaths


def test_attention_paths_are_the_best_of_all(model, batch):
    found = AttentionPaths().explain(model, batch)[2]
    edges = found.edges[:, 0]
    assert edges.sum(-1) == pytest.approx(np.ones((3, 4)))
    for path, product in zip(found.patterns.positions[..., 0], found.patterns.influence, strict=True):
        every = {
            walk: edges[0, walk[1], walk[0]] * edges[1, walk[2], walk[1]] * edges[2, 2, walk[2]]
            for walk in itertools.product([path[0]], range(4), range(4))
        }
        assert product == pytest.approx(max(every.values()))
        assert every[tuple(path[:3])] == pytest.approx(product)
