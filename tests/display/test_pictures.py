"""Pictures of an explained text."""

from __future__ import annotations

import pytest
from matplotlib.patches import Rectangle

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.display.colours import shade
from flowgauge.display.pictures import graph_figure, graphs, picture_bytes, words_figure, write_picture
from flowgauge.methods.explanation import Explanation

from .conftest import EDGES, HEADS, NODES, SENTENCE, TOKENS


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [text.get_text() for text in figure.texts]


def test_words_are_shaded_by_their_share_of_the_largest_score(by_hand):
    figure = words_figure(by_hand(saliency=TOKENS))
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    colours = ["#" + "".join(f"{round(255 * part):02x}" for part in box.get_facecolor()[:3]) for box in boxes]
    assert colours == ["#ffffff", shade(1.0), shade(-0.5), shade(0.25 / 3), "#ffffff"]
    assert {"saliency", "unhappy", "+3.00", "-1.50"} <= set(texts(figure))


def test_a_long_text_takes_several_lines(by_hand):
    explained = by_hand(saliency=TOKENS)
    explained.__dict__["words"] = explained.words * 12
    explained.__dict__["word_scores"] = {"saliency": [0.0, 3.0, -1.5, 0.25, 0.0] * 12}
    figure = words_figure(explained)
    boxes = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert len({round(box.get_y(), 3) for box in boxes}) > 2
    assert max(box.get_x() + box.get_width() for box in boxes) < 9.0


@pytest.mark.parametrize("explanation", [HEADS, NODES, EDGES])
def test_without_words_the_strongest_are_bars(by_hand, explanation):
    figure = words_figure(by_hand(mine=explanation))
    bars = [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(bars) >= 2 and all(bar.get_width() for bar in bars)


def test_a_graph_is_drawn_of_edges_and_refused_without(by_hand):
    explained = by_hand(saliency=TOKENS, mine=EDGES)
    assert list(graphs(explained)) == ["mine"]
    assert any("layer" in axes.get_ylabel() for axes in graph_figure(explained).axes)
    with pytest.raises(NotApplicable):
        graph_figure(by_hand(saliency=TOKENS))


def test_nodes_and_words_give_a_pattern(by_hand):
    both = Explanation(tokens=TOKENS.tokens, nodes=NODES.nodes)
    assert any(SENTENCE.tokens[1] in text.get_text() for text in graphs(by_hand(mine=both))["mine"].axes[0].get_yticklabels())


def test_files_are_the_same_each_time_and_refusals_name_the_option(by_hand, tmp_path):
    figure = words_figure(by_hand(saliency=TOKENS))
    write_picture(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == picture_bytes(words_figure(by_hand(saliency=TOKENS)), ".png")
    with pytest.raises(UsageError, match=r"must end in \.png or \.svg"):
        write_picture(figure, tmp_path / "a.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another file with --out"):
        write_picture(figure, tmp_path / "file" / "a.png")
