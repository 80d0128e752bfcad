"""Bars of the number of depths kept."""

from __future__ import annotations

import numpy as np
import pytest
from tests.leaderboards.conftest import keep, record, score

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.figures.depth_kept import depth_bars, depth_figure
from flowgauge.leaderboards.figures.source import ExplanationSource


def test_bars_of_classes(masked_store) -> None:
    (group,) = ExplanationSource(masked_store).groups
    assert [bars.label for bars in depth_bars(group)] == ["diffmask-hidden", "diffmask-input"]
    axes = depth_figure(group).axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["ADJ", "DET", "[CLS]"]
    assert [bar.get_extents().width for bar in axes.patches] == pytest.approx(
        np.array([3.0, 0.5, 3.9]) * axes.patches[0].get_extents().width / 3
    )
    with pytest.raises(UsageError, match="--metric depth_kept"):
        depth_figure(group, labels=[])


@pytest.mark.filterwarnings("error")
def test_classes_of_which_nothing_is_kept_have_bars_of_no_length(tmp_path) -> None:
    store = Store(str(tmp_path / "none"))
    keep(store, record("diffmask-hidden", [score("depth_kept", {"all": 0.0, "class/ADJ": 0.0})], task="sst"))
    (group,) = ExplanationSource(store.url).groups
    axes = depth_figure(group).axes[0]
    assert axes.get_xlim() == (0, 1) and [bar.get_extents().width for bar in axes.patches] == [0]


def test_sentiment_stands_in_its_order(tmp_path) -> None:
    store = Store(str(tmp_path / "sst"))
    names = ("very positive", "neutral", "very negative", "positive", "negative", "unlabelled")
    keep(store, record("diffmask-hidden", [score("depth_kept", {"all": 1.0, **{f"class/{n}": 1.0 for n in names}})], task="sst"))
    (group,) = ExplanationSource(store.url).groups
    shown = [t.get_text() for t in depth_figure(group).axes[0].get_yticklabels()]
    assert shown == ["very negative", "negative", "neutral", "positive", "very positive", "unlabelled"]
