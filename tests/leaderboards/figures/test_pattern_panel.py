"""The panel of one sentence: strokes, bars, subtitle and note."""

from __future__ import annotations

import numpy as np
from tests.leaderboards.conftest import patterned, sentence

from flowgauge.leaderboards.figures.pattern_panel import make_panel
from flowgauge.leaderboards.figures.pattern_strokes import Stroke
from flowgauge.methods.explanation import Explanation
from flowgauge.models.flow.graph import NO_EDGE, SKIP


def test_the_edges_of_a_sentence():
    panel = make_panel("influence-patterns", sentence("a"), patterned())
    assert panel.strokes == (
        Stroke(0, 1, 1, SKIP, 1, 1.0),
        Stroke(0, 3, 2, 0, -1, 0.25),
        Stroke(1, 1, 2, 2, 1, 1.0),
        Stroke(1, 2, 2, SKIP, -1, 0.25),
    )
    assert {name: values.tolist() for name, values in panel.bars.items()} == {
        "g": [0.04, 2.0, 0.0, -0.5],
        "I(π), embedding level": [0.03, 1.5, 0.0, -0.4],
        "I(π), attention level": [0.02, 1.0, 0.0, -0.25],
    }
    assert panel.kept.tolist() == [1, 3] and panel.signed and panel.n_layers == 2
    assert panel.subtitle == "S, are rather than is, q = 1.25 logits; the model is right"
    assert panel.note == "Line width: |I(π)|; 2 words below 5% of Σ|g| left out."


def test_attention_takes_words_and_signs_from_the_reference():
    edges = np.zeros((2, 1, 4, 4))
    edges[:, 0] = np.eye(4) * 0.5
    edges[1, 0, 2] = [0.1, 0.4, 0.3, 0.2]
    panel = make_panel("attention", sentence("a"), Explanation(edges=edges), patterned())
    assert panel.strokes == (
        Stroke(0, 1, 1, NO_EDGE, 1, 2.0),
        Stroke(0, 3, 3, NO_EDGE, -1, 0.5),
        Stroke(1, 1, 2, NO_EDGE, 1, 2.0),
        Stroke(1, 3, 2, NO_EDGE, -1, 0.5),
    )
    assert list(panel.bars) == ["g"]
    assert panel.note == "Line width: |g| of the word; g is from influence-patterns; 2 words below 5% of Σ|g| left out."
