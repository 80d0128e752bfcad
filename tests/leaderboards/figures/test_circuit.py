"""Circuits as layered graphs: which edges are drawn, and where they lead."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from tests.leaderboards.conftest import keep, record
from tests.leaderboards.figures.conftest import SENTENCE, svg

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.leaderboards.figures.circuit import circuit_drawing
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.methods.explanation import Explanation
from flowgauge.models.circuits.circuit_graph import CircuitGraph

GRAPH = CircuitGraph(2, 2)


def circuit() -> np.ndarray:
    """Four edges: the embedding to a value, a head to a query, a block to the logits, and one against the answer."""
    writers, readers = list(GRAPH.writers()), list(GRAPH.readers())
    scores = np.zeros(GRAPH.shape)
    for writer, reader, score in (
        ("embedding", "layer 1 head 2 value", 2.0),
        ("layer 1 head 2", "layer 2 head 1 query", 1.0),
        ("layer 2 feed-forward", "logits", 0.5),
        ("layer 2 head 1", "logits", -1.5),
    ):
        scores[writers.index(writer), readers.index(reader)] = score
    return scores


@pytest.fixture
def circuit_store(tmp_path: Path) -> str:
    store = Store(str(tmp_path / "store"))
    keep(store, record("eap-ig", instances=1), [SENTENCE], [Explanation(circuit=circuit())])
    return store.url


def test_the_strongest_edges_come_first_with_their_share() -> None:
    drawing = circuit_drawing("eap-ig", SENTENCE, Explanation(circuit=circuit()), shown=2)
    names = [(GRAPH.writers()[w], GRAPH.readers()[r], s) for w, r, s in drawing.edges]
    assert names == [("embedding", "layer 1 head 2 value", 2.0), ("layer 2 head 1", "logits", -1.5)]
    assert drawing.share == pytest.approx(0.7) and drawing.graph == GRAPH
    assert circuit_drawing("eap-ig", SENTENCE, Explanation(circuit=0 * circuit())).edges == ()


def test_edges_that_are_not_zero_are_drawn_with_widths_by_score(circuit_store: str, tmp_path: Path) -> None:
    paths = plot(circuit_store, "circuit", tmp_path / "out")
    assert [path.name for path in paths] == [f"circuit-toy-sva-obj-eap-ig-a.{kind}" for kind in ("png", "svg")]
    text = svg(paths)
    drawn = re.findall(r'id="edge-(\d+)-(\d+)"', text)
    assert sorted(drawn) == sorted((str(w), str(r)) for w, r in np.argwhere(circuit()))
    widths = [float(re.search(r"stroke-width: ([\d.]+)", text[text.index(f'id="edge-{w}-{r}"') :])[1]) for w, r in drawn]
    assert max(widths) == pytest.approx(4.5) and len(set(widths)) == 4
    assert len(set(re.findall(r'id="node-(\w+)"', text))) == GRAPH.shape[0] + 1
    assert "The 4 strongest edges, 100 %" in text


def test_methods_without_a_circuit_are_refused(attributed_store: str, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="a circuit is drawn from the view circuit"):
        plot(attributed_store, "circuit", tmp_path, method="attattr")
    with pytest.raises(UsageError, match="no explanations by eap-ig"):
        plot(attributed_store, "circuit", tmp_path)
