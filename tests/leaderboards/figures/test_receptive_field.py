"""Receptive fields: the stored values, and what stands in the figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.leaderboards.figures.conftest import texts_of

from flowgauge.leaderboards.figures.plot import plot
from flowgauge.leaderboards.figures.receptive_field import receptive_fields
from flowgauge.leaderboards.figures.source import ExplanationSource


def test_fields_are_those_stored(head_store: str, tmp_path: Path):
    (group,) = ExplanationSource(head_store).groups
    (reach,) = receptive_fields(group)
    assert (reach.label, reach.bins) == ("attattr", (1, 2, 4))
    assert np.array_equal(reach.shares, [[0.75, 0.0], [0.25, 0.0], [0.0, 1.0]])
    assert [(m.value, m.low, m.high) for m in reach.means] == [(1.25, 1.0, 1.5), (4.0, 3.0, 4.0)]
    assert reach.chance == (2.5, 2.0)
    texts = texts_of(plot(head_store, "receptive", tmp_path), "receptive-field-toy-sva-obj")
    assert {"attattr", "layer", "distance (tokens)", "3–4"} <= set(texts)
