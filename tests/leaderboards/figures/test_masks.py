"""Keep probabilities: the map of a sentence, and the curves of two texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.leaderboards.conftest import frontier_point as point
from tests.leaderboards.figures.conftest import PAIR_WORDS, masked_pair

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.leaderboards.figures.masks import frontier_figure, mask_figure, mask_view, text_curves, texts_figure
from flowgauge.leaderboards.figures.source import ExplanationSource
from flowgauge.leaderboards.stored.comparable_cells import groups
from flowgauge.methods.explanation import Explanation


def test_a_heat_map_has_every_state(masked_store) -> None:
    sentence, explanation = masked_pair("rte/0", 0)
    figure = mask_figure("diffmask-hidden", sentence, explanation)
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), explanation.mask)
    assert axes.images[0].get_clim() == (0, 1)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["E", "1", "2", "3"]
    assert [t.get_text() for t in axes.get_xticklabels()] == list(PAIR_WORDS)
    with pytest.raises(NotApplicable, match="read from a mask"):
        mask_figure("random", sentence, Explanation(tokens=np.zeros(8)))


def test_curves_of_both_texts_are_means_of_instances(masked_store) -> None:
    source = ExplanationSource(masked_store)
    explained = source.explained(source.groups[0], "diffmask-hidden")
    first, second, special = text_curves(explained, "rte")
    masks = np.stack([mask_view(explained.gold[name]) for name in explained.sentences])
    np.testing.assert_allclose(first.value, masks[..., 1:3].mean((0, 2)))
    np.testing.assert_allclose(second.value, masks[..., 4:7].mean((0, 2)))
    np.testing.assert_allclose(special.value, masks[..., [0, 3, 7]].mean((0, 2)))
    assert (first.low < first.value).all() and (first.value < first.high).all() and first.count == 5
    assert [c.name for c in text_curves(explained, "squad")] == ["question", "passage", "special tokens"]
    figure = texts_figure("t", [("diffmask-hidden", [first, second, special])])
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), second.value)
    single = {name: replace(s, words=tuple((min(a, 0), b) for a, b in s.words)) for name, s in explained.sentences.items()}
    with pytest.raises(NotApplicable, match="have one text"):
        text_curves(replace(explained, sentences=single), "rte")


def test_the_frontier_has_a_point_for_each_margin_and_reads_f1_at_the_published_shares() -> None:
    cells = [point(margin, seed, 0.3 + margin, 0.6 - margin) for margin in (0.1, 0.5) for seed in (0, 1)]
    (group,) = groups(cells)
    axes = frontier_figure(group).axes[0]
    (line,) = (bars[0] for bars in axes.containers)
    np.testing.assert_allclose(line.get_xydata(), [[0.4, 0.5], [0.8, 0.1]])
    (text,) = axes.get_legend_handles_labels()[1]
    assert text == "diffmask-hidden\n0.46: 0.440 (2 of 2 seeds, sd 0.000)\n0.68: 0.220 (2 of 2 seeds, sd 0.000)"
    with pytest.raises(UsageError, match="no method of sva/obj has masks of two margins"):
        frontier_figure(groups(cells[:2])[0])
