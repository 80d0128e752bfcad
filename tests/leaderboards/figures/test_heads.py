"""Maps of single attention heads: which heads are shown, and with or without their attention."""

from __future__ import annotations

import re
from pathlib import Path

from tests.leaderboards.conftest import keep, record
from tests.leaderboards.figures.conftest import SENTENCE, attributed, attributions, svg

from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.figures.heads import head_overview
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.methods.explanation import Explanation


def test_maps_are_of_the_strongest_head_of_the_strongest_layers(attributed_store: str, tmp_path: Path):
    maps = head_overview("attattr", SENTENCE, attributed(q=2.0), shown=2)
    assert [(head.layer, head.head, head.score) for head in maps.heads] == [(2, 0, 0.5), (1, 1, 0.01)]
    assert (maps.heads[1].attribution == attributions()[1, 1]).all() and maps.heads[0].attention is None
    assert maps.subtitle == "are, q = 2.00; the model is right"
    text = svg(plot(attributed_store, "heads", tmp_path / "out"))
    assert re.findall(r'id="(att[a-z]+-\d-\d)"', text) == [
        f"{kind}-{at}" for at in ("2-0", "1-1", "0-0") for kind in ("attention", "attribution")
    ]
    assert "attribution, layer 3 head 1" in text and "very" in text


def test_maps_without_attention_say_how_to_get_it(tmp_path: Path):
    bare_store = Store(str(tmp_path / "store"))
    keep(bare_store, record("attattr", instances=1), [SENTENCE], [attributed()])
    text = svg(plot(bare_store.url, "heads", tmp_path / "out"))
    assert "--method raw-attention" in text and "attention-2-0" not in text


def test_heads_are_ranked_by_their_edges_where_the_method_does_not_score_them():
    maps = head_overview("m", SENTENCE, Explanation(edges=attributions()))
    assert [(head.layer, head.head) for head in maps.heads] == [(2, 0), (1, 1), (0, 0)]
