"""Random attention graphs for the tests of attention methods."""

from __future__ import annotations

import torch


def random_graph(n_layers, n, seed=0, sharp=1.0):
    """Rows of a softmax; the sharper, the further from uniform."""
    scores = torch.randn(1, n_layers, n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * sharp
    return 0.5 * scores.softmax(-1) + 0.5 * torch.eye(n, dtype=torch.float64)
