"""Explained texts: of the embedded model, and made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flowgauge.benchmark.store.explanation_file import ExplainedSentence
from flowgauge.display.explained_text import ExplainedText
from flowgauge.methods.explanation import Explanation

SENTENCE = ExplainedSentence(
    id="unhappy [MASK] .", condition="", tokens=("[CLS]", "un", "##happy", "[MASK]", ".", "[SEP]"),
    slots=("[CLS]", "0", "0", "1", "2", "[SEP]"), words=((-1, -1), (0, 0), (0, 0), (0, 1), (0, 2), (-1, -1)),
    target=3, answer=("is",), against=("are",), predicted=("is",), correct=None,
)  # fmt: skip
"""A sentence of one layer and two heads, in which one word is two tokens."""
TOKENS = Explanation(tokens=np.array([0.0, 1.0, 2.0, -1.5, 0.25, 0.0]))
HEADS = Explanation(heads=np.array([[0.5, -2.0]]))
NODES = Explanation(nodes=np.array([[0.0, 0.1, 0.0, 0.0, 0.0, -0.3], [0.0, 0.0, 0.0, 0.7, 0.0, 0.0]]))
_EDGES = np.zeros((1, 2, 6, 6))
_EDGES[0, 1, 3, 2], _EDGES[0, 0, 3, 1] = 0.9, -0.4
EDGES = Explanation(edges=_EDGES)


@pytest.fixture
def by_hand() -> Callable[..., ExplainedText]:
    """`by_hand(saliency=TOKENS, ...)`: an explained text with these explanations."""

    def make(text: str = "unhappy [MASK] .", notes: tuple[str, ...] = (), **explanations: Any) -> ExplainedText:
        return ExplainedText(
            model="a-model", texts=(text,), sentence=SENTENCE, question="Why 'is'? q = 1.5 logits.", q=1.5, unit="logits",
            explanations=explanations, notes=notes,
        )  # fmt: skip

    return make
