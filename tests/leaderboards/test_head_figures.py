"""Figures of head pruning and of receptive fields, from hand-made scores."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.figures.curves import curves
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.leaderboards.figures.receptive_field import fields
from flowgauge.leaderboards.figures.source import Source

from .conftest import keep, record, score

AREAS = {"least-first/auc": 0.7, "most-first/auc": 0.4, "least-first/auc/agreement": 0.9, "gap": 0.3}
PRUNED = {**{f"least-first/{r}": (1 - r / 200, 0.4, 1.0) for r in (0, 50, 100)}, **AREAS}
PRUNED |= {f"most-first/{r}": 1.0 if r == 0 else 0.5 for r in (0, 50, 100)}
LAYERS = {f"{by}/{o}/{k}": 0.5 for by in ("mean", "instance", "oracle") for o in ("least-first", "most-first") for k in range(3)}
LAYERS |= {"mean/least-first/auc": 0.625}
REACH = {
    **{f"layer/1/distance/{b}": s for b, s in (("1", 0.75), ("2", 0.25), ("3-4", 0.0))},
    **{f"layer/2/distance/{b}": s for b, s in (("1", 0.0), ("2", 0.0), ("3-4", 1.0))},
    "layer/1/mean": (1.25, 1.0, 1.5), "layer/1/relative": 0.5, "layer/1/local": 1.0,
    "layer/2/mean": (4.0, 3.0, 4.0), "layer/2/relative": 2.0, "layer/2/local": 0.0, "mean": 2.5,
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> str:
    made = Store(str(tmp_path / "store"))
    keep(made, record("head-taylor", [score("head_pruning", PRUNED), score("layer_head_pruning", LAYERS)]))
    keep(made, record("attattr", [score("head_pruning", {**PRUNED, "gap": 0.45}), score("receptive_field", REACH)]))
    heads = {"auc": 0.5, "budget/50": 0.5, "budget/100": 1.0, "heads/auc": 0.25, "heads/budget/50": 0.1, "heads/budget/100": 0.9}
    keep(made, record("random", [score("retention_curve", heads)], seed=0))
    return made.url


def text_of(paths: list[Path], name: str) -> list[str]:
    (svg,) = [path for path in paths if path.name == f"{name}.svg"]
    return re.findall(r">([^<>]+)</text>", svg.read_text())


def test_pruning_names_methods_by_their_gap(store: str, tmp_path: Path):
    paths = plot(store, "pruning", tmp_path)
    assert {p.stem for p in paths} == {"head-pruning-toy-sva-obj", "layer-head-pruning-toy-sva-obj"}
    found = text_of(paths, "head-pruning-toy-sva-obj")
    assert [t for t in found if t.startswith("+")] == ["+0.450  attattr", "+0.300  head-taylor"]
    assert found.count("whole model") == found.count("no head") == 1
    assert {"least important heads first", "most important heads first", "accuracy"} <= set(found)
    layers = text_of(paths, "layer-head-pruning-toy-sva-obj")
    assert [t for t in layers if t.endswith("head-taylor")] == ["0.625  head-taylor"]
    assert "ranked by each instance's own, of the gold answer (leaks it)" in layers


def test_lines_are_those_stored(store: str):
    (group,) = Source(store).groups
    found = curves(group, "head_pruning", ["attattr"], "least-first/", "least-first/auc")
    assert [(c.budgets, c.values, c.low, c.area) for c in found] == [((0.0, 50.0, 100.0), (1.0, 0.75, 0.5), (0.4, 0.4, 0.4), 0.7)]


def test_curves_of_heads_are_a_figure_of_their_own(store: str, tmp_path: Path):
    paths = plot(store, "curve", tmp_path)
    assert {p.stem for p in paths} == {"retention-curve-toy-sva-obj", "retention-curve-of-heads-toy-sva-obj"}
    assert "share of heads kept (%)" in text_of(paths, "retention-curve-of-heads-toy-sva-obj")
    assert "0.250  random" in text_of(paths, "retention-curve-of-heads-toy-sva-obj")
    assert "0.500  random" in text_of(paths, "retention-curve-toy-sva-obj")


def test_fields_are_those_stored(store: str, tmp_path: Path):
    (group,) = Source(store).groups
    (found,) = fields(group)
    assert (found.label, found.bins) == ("attattr", (1, 2, 4))
    assert np.array_equal(found.shares, [[0.75, 0.0], [0.25, 0.0], [0.0, 1.0]])
    assert [(m.value, m.low, m.high) for m in found.means] == [(1.25, 1.0, 1.5), (4.0, 3.0, 4.0)]
    assert found.chance == (2.5, 2.0)
    texts = text_of(plot(store, "receptive", tmp_path), "receptive-field-toy-sva-obj")
    assert {"attattr", "layer", "distance (tokens)", "3–4"} <= set(texts)


@pytest.mark.parametrize(("what", "metric"), [("pruning", "head_pruning"), ("receptive", "receptive_field")])
def test_what_is_not_scored_says_how(tmp_path: Path, what: str, metric: str):
    made = Store(str(tmp_path / "bare"))
    keep(made, record("attattr"))
    with pytest.raises(UsageError, match=f"flowgauge score STORE --metric {metric}"):
        plot(made.url, what, tmp_path)
