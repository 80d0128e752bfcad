"""The published algorithm of attention attribution gives the scores of the method."""

from __future__ import annotations

import torch

from flowgauge.benchmark.speed.peers.published_attattr import literal
from flowgauge.methods.gradients.attattr import AttAttr


def test_the_published_algorithm_gives_the_same_scores(models, batches):
    model = models("bert", "label", torch.float64)
    batch = batches(model, [5, 5])
    found, ours = literal(model, batch, 6), AttAttr(steps=6).explain(model, batch)
    assert all(abs(one.edges - other.numpy()).max() < 1e-14 for one, other in zip(ours, found, strict=True))
