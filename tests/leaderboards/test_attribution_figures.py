"""Attribution graphs, trees and heat maps of a hand-made store: what is drawn, and refusals."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.leaderboards.figures.attribution import make_drawing, separators
from flowgauge.leaderboards.figures.heads import make_maps
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.methods.explanation import Explanation

from .conftest import keep, record, sentence

WORDS = ((-1, -1), (0, 0), (0, 1), (0, 2), (-1, -1))
TOKENS = ("[CLS]", "very", "$5", "funny", "[SEP]")
SENTENCE = replace(sentence("a", tokens=TOKENS), words=WORDS, slots=TOKENS, target=0)


def attributions() -> np.ndarray:
    """Three layers of two heads. [CLS] asks funny and [SEP]; funny asks very at layer 2, at layer 1 very asks $5."""
    edges = np.zeros((3, 2, 5, 5))
    edges[2, 0, 0, 3], edges[2, 1, 0, 3], edges[2, 1, 0, 4], edges[2, 0, 0, 1] = 0.5, 0.25, 0.1, -0.3
    edges[1, 1, 3, 1], edges[1, 0, 3, 2] = 0.01, 0.003
    edges[0, 0, 1, 2], edges[0, 1, 2, 4] = 0.002, 0.0015
    return edges


def explained(**values: float) -> Explanation:
    return Explanation(edges=attributions(), heads=attributions().max((2, 3)), values=values)


@pytest.fixture
def store(tmp_path: Path) -> str:
    found = Store(str(tmp_path / "attributed"))
    attention = np.random.default_rng(0).dirichlet(np.ones(5), (3, 2, 5))
    keep(found, record("attattr", instances=1), [SENTENCE], [explained(probability=0.875)])
    keep(found, record("raw-attention", instances=1), [SENTENCE], [Explanation(edges=attention)])
    return found.url


def svg(paths: list[Path]) -> str:
    (found,) = [path for path in paths if path.suffix == ".svg"]
    return found.read_text()


def test_a_graph_above_its_tree(store: str, tmp_path: Path):
    paths = plot(store, "attribution", tmp_path / "out")
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
    graph = make_drawing("attattr", SENTENCE, Explanation(edges=edges)).graph
    assert [edge[:3] for edge in graph.edges] == [(2, 0, 3), (1, 3, 1), (0, 3, 2)]
    assert graph.residuals == ((3, 2, 1),)


def test_widths_are_shares_of_the_layer(store: str, tmp_path: Path):
    text = svg(plot(store, "attribution", tmp_path))
    widths = {}
    for name in ("edge-2-0-3", "edge-0-1-2"):
        style = text[text.index(f'id="{name}"') :].split("style=", 1)[1]
        widths[name] = float(re.search(r"stroke-width: ([\d.]+)", style)[1])
    assert widths == {"edge-2-0-3": 5.0, "edge-0-1-2": 5.0}  # both the largest of their layer


def test_separators_are_special_tokens_at_the_end_of_texts():
    assert separators(SENTENCE) == (4,)
    pair = replace(SENTENCE, words=((-1, -1), (0, 0), (-1, -1), (1, 0), (-1, -1)), target=2)
    assert separators(pair) == (4,)


def test_maps_are_of_the_strongest_head_of_the_strongest_layers(store: str, tmp_path: Path):
    maps = make_maps("attattr", SENTENCE, explained(q=2.0), shown=2)
    assert [(head.layer, head.head, head.score) for head in maps.heads] == [(2, 0, 0.5), (1, 1, 0.01)]
    assert (maps.heads[1].attribution == attributions()[1, 1]).all() and maps.heads[0].attention is None
    assert maps.subtitle == "are, q = 2.00; the model is right"
    text = svg(plot(store, "heads", tmp_path / "out"))
    assert re.findall(r'id="(att[a-z]+-\d-\d)"', text) == [
        f"{kind}-{at}" for at in ("2-0", "1-1", "0-0") for kind in ("attention", "attribution")
    ]
    assert "attribution, layer 3 head 1" in text and "very" in text


def test_maps_without_attention_say_how_to_get_it(tmp_path: Path):
    found = Store(str(tmp_path / "store"))
    keep(found, record("attattr", instances=1), [SENTENCE], [explained()])
    text = svg(plot(found.url, "heads", tmp_path / "out"))
    assert "--method raw-attention" in text and "attention-2-0" not in text


def test_heads_are_ranked_by_their_edges_where_the_method_does_not_score_them():
    maps = make_maps("m", SENTENCE, Explanation(edges=attributions()))
    assert [(head.layer, head.head) for head in maps.heads] == [(2, 0), (1, 1), (0, 0)]


def test_all_draws_them_and_the_bytes_are_the_same(store: str, tmp_path: Path):
    first, second = (plot(store, "all", tmp_path / name) for name in ("one", "two"))
    assert [path.name.split("-")[0] for path in first] == ["attribution"] * 2 + ["heads"] * 2
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, second, strict=True))


def test_refusals_say_why(store: str, tmp_path: Path, drawn_store: str):
    with pytest.raises(UsageError, match="no explanations by attattr; choose one with --method"):
        plot(drawn_store, "attribution", tmp_path)
    with pytest.raises(NotApplicable, match="gives patterns, tokens; an attribution graph is read from edges"):
        plot(drawn_store, "attribution", tmp_path, method="influence-patterns")
    with pytest.raises(NotApplicable, match="not told apart by head"):
        plot(drawn_store, "heads", tmp_path, method="attention")
    with pytest.raises(UsageError, match="no instance is called 'b'"):
        plot(store, "heads", tmp_path, instance="b")
    with pytest.raises(NotApplicable, match="has one root"):
        make_drawing("attattr", replace(SENTENCE, target=None), explained())
