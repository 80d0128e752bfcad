"""Retention and deletion curves, of nodes and of attention heads."""

from __future__ import annotations

from pathlib import Path

from tests.leaderboards.figures.conftest import texts_of

from flowgauge.leaderboards.figures.curves import curves
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.leaderboards.figures.source import ExplanationSource


def test_curves_are_sorted_by_budget(drawn_store: str):
    (curve,) = curves(ExplanationSource(drawn_store).groups[0])
    assert (curve.label, curve.budgets, curve.values) == ("influence-patterns", (50.0, 100.0), (0.75, 1.0))
    assert (curve.low, curve.high, curve.area) == ((0.5, 1.0), (0.9, 1.0), 0.8)


def test_lines_are_those_stored(head_store: str):
    (group,) = ExplanationSource(head_store).groups
    lines = curves(group, "head_pruning", ["attattr"], "least-first/", "least-first/auc")
    assert [(c.budgets, c.values, c.low, c.area) for c in lines] == [((0.0, 50.0, 100.0), (1.0, 0.75, 0.5), (0.4, 0.4, 0.4), 0.7)]


def test_curves_of_heads_are_a_figure_of_their_own(head_store: str, tmp_path: Path):
    paths = plot(head_store, "curve", tmp_path)
    assert {p.stem for p in paths} == {"retention-curve-toy-sva-obj", "retention-curve-of-heads-toy-sva-obj"}
    assert "share of heads kept (%)" in texts_of(paths, "retention-curve-of-heads-toy-sva-obj")
    assert "0.250  random" in texts_of(paths, "retention-curve-of-heads-toy-sva-obj")
    assert "0.500  random" in texts_of(paths, "retention-curve-toy-sva-obj")
