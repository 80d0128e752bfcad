"""The explained text as Python shows it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flowgauge.core.errors import UnknownName
from flowgauge.display.explained_text import TABLES

from .conftest import EDGES, HEADS, NODES, TOKENS


def test_repr_is_one_short_line(by_hand):
    shown = repr(by_hand(text="word " * 500, saliency=TOKENS))
    assert len(shown) < 250 and "\n" not in shown
    assert shown.endswith("is rather than are, q = 1.5 logits, by saliency)")


def test_explanations_are_found_by_method(by_hand):
    explained = by_hand(saliency=TOKENS)
    assert explained["saliency"] is TOKENS and explained.wordless == ()
    with pytest.raises(UnknownName, match="did you mean saliency"):
        explained["salienci"]


def test_tables_are_tidy(by_hand):
    explained = by_hand(saliency=TOKENS, heads=HEADS, nodes=NODES, edges=EDGES)
    words = explained.to_pandas()
    assert tuple(words.columns) == TABLES["words"]
    assert words[["word", "score"]].values.tolist()[1] == ["unhappy", 3.0] and len(words) == 5
    heads = explained.to_pandas("heads")
    assert heads[heads.method == "heads"][["layer", "head", "score"]].values.tolist() == [[1, 1, 0.5], [1, 2, -2.0]]
    assert set(explained.to_pandas("nodes").method) == {"nodes"} and len(explained.to_pandas("nodes")) == 12
    edges = explained.to_pandas("edges").set_index(["head", "query", "key"])
    assert edges.loc[(2, 3, 2), "score"] == 0.9 and edges.loc[(2, 3, 2), "key_token"] == "##happy"
    with pytest.raises(UnknownName, match="words"):
        explained.to_pandas("word")


def test_without_words_the_first_table_there_is(by_hand):
    assert tuple(by_hand(mine=HEADS).to_pandas().columns) == TABLES["heads"]
    assert tuple(by_hand(mine=NODES).to_pandas().columns) == TABLES["nodes"]


def test_everything_as_plain_values(by_hand):
    plain = json.loads(json.dumps(by_hand(saliency=TOKENS, mine=HEADS).to_dict()))
    assert plain["words"][1] == {"word": "unhappy", "segment": 0, "tokens": [1, 2]}
    assert plain["methods"][0]["words"] == [0.0, 3.0, -1.5, 0.25, 0.0]
    assert plain["methods"][1]["words"] is None and plain["methods"][1]["heads"] == [[0.5, -2.0]]
    assert (plain["q"], plain["answer"], plain["against"]) == (1.5, ["is"], ["are"])


def test_text_html_and_plot(by_hand):
    explained = by_hand(saliency=TOKENS)
    assert "unhappy  +3.00" in explained.to_text()
    assert "unhappy" in explained._repr_html_()
    assert np.ptp(explained.plot().get_size_inches()) > 0
    with pytest.raises(UnknownName, match="words"):
        explained.plot("wods")
