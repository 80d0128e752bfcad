"""Token scores and ranked words by hand, and a count of the model's passes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.tokens.word_removal import RankedWords


def tokens(*rows) -> list[Explanation]:
    return [Explanation(tokens=np.array(row, float)) for row in rows]


def ranked(scores, candidates: np.ndarray) -> RankedWords:
    """Words ranked by scores, of no batch."""
    case: Any = SimpleNamespace(explanation=tokens(scores)[0])
    return RankedWords(case, candidates)


def passes(monkeypatch, model) -> list[int]:
    """Grows by the number of rows of every forward pass."""
    sizes: list[int] = []
    outputs = type(model).outputs

    def counted(self, batch):
        sizes.append(len(batch))
        return outputs(self, batch)

    monkeypatch.setattr(type(model), "outputs", counted)
    return sizes
