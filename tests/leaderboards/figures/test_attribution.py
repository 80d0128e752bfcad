"""Attribution graphs and trees: what is drawn, and errors."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.leaderboards.figures.conftest import SENTENCE, attributed, attributions, svg

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.leaderboards.figures.attribution import attribution_drawing, separators
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.methods.explanation import Explanation


def test_a_graph_above_its_tree(attributed_store: str, tmp_path: Path):
    paths = plot(attributed_store, "attribution", tmp_path / "out")
    assert [path.name for path in paths] == [f"attribution-toy-sva-obj-attattr-a.{kind}" for kind in ("png", "svg")]
    text = svg(paths)
    edges = re.findall(r'id="(edge-[^"]+)"', text)
    both, graph, tree = ["edge-0-1-2", "edge-1-3-1"] * 2, ["edge-2-0-3"], ["edge-0-2-4"]  # the graph drops [SEP]
    assert sorted(edges) == sorted(both + graph + tree)
    assert re.findall(r'id="(residual-[^"]+)"', text) == []
    assert sorted(re.findall(r'id="(word-[^"]+)"', text)) == ["word-1", "word-2", "word-3", "word-4"]
    assert "P(are) = 0.875; the model is right" in text and "0.75</text>" in text  # the last layer's largest


def test_a_token_that_comes_back_is_linked_to_itself():
    edges = attributions()
    edges[0] = 0
    edges[0, 0, 3, 2] = 0.002
    graph = attribution_drawing("attattr", SENTENCE, Explanation(edges=edges)).graph
    assert [edge[:3] for edge in graph.edges] == [(2, 0, 3), (1, 3, 1), (0, 3, 2)]
    assert graph.residuals == ((3, 2, 1),)


def test_widths_are_shares_of_the_layer(attributed_store: str, tmp_path: Path):
    text = svg(plot(attributed_store, "attribution", tmp_path))
    widths = {}
    for name in ("edge-2-0-3", "edge-0-1-2"):
        style = text[text.index(f'id="{name}"') :].split("style=", 1)[1]
        widths[name] = float(re.search(r"stroke-width: ([\d.]+)", style)[1])
    assert widths == {"edge-2-0-3": 5.0, "edge-0-1-2": 5.0}  # both the largest of their layer


def test_separators_are_special_tokens_at_the_end_of_texts():
    assert separators(SENTENCE) == (4,)
    pair = replace(SENTENCE, words=((-1, -1), (0, 0), (-1, -1), (1, 0), (-1, -1)), target=2)
    assert separators(pair) == (4,)


def test_refusals_say_why(attributed_store: str, tmp_path: Path, drawn_store: str):
    with pytest.raises(UsageError, match="no explanations by attattr; choose one with --method"):
        plot(drawn_store, "attribution", tmp_path)
    with pytest.raises(NotApplicable, match="gives patterns, tokens; an attribution graph is read from edges"):
        plot(drawn_store, "attribution", tmp_path, method="influence-patterns")
    with pytest.raises(NotApplicable, match="does not score the edges of each head"):
        plot(drawn_store, "heads", tmp_path, method="attention")
    with pytest.raises(UsageError, match="no instance among the 1 explained is called 'b'"):
        plot(attributed_store, "heads", tmp_path, instance="b")
    with pytest.raises(NotApplicable, match="has one root"):
        attribution_drawing("attattr", replace(SENTENCE, target=None), attributed())
