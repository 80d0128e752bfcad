"""Head pruning: what stands in the figures."""

from __future__ import annotations

from pathlib import Path

from tests.leaderboards.figures.conftest import texts_of

from flowgauge.leaderboards.figures.plot import plot


def test_pruning_names_methods_by_their_gap(head_store: str, tmp_path: Path):
    paths = plot(head_store, "pruning", tmp_path)
    assert {p.stem for p in paths} == {"head-pruning-toy-sva-obj", "layer-head-pruning-toy-sva-obj"}
    texts = texts_of(paths, "head-pruning-toy-sva-obj")
    assert [t for t in texts if t.startswith("+")] == ["+0.450  attattr", "+0.300  head-taylor"]
    assert texts.count("whole model") == texts.count("no head") == 1
    assert {"least important heads first", "most important heads first", "accuracy"} <= set(texts)
    layers = texts_of(paths, "layer-head-pruning-toy-sva-obj")
    assert [t for t in layers if t.endswith("head-taylor")] == ["0.625  head-taylor"]
    assert "ranked by each instance's explanation of the gold answer (which leaks it)" in layers
