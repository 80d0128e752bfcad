"""Figures of masks: the heat map of a sentence, the curves of two texts, the bars of classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flowgauge.benchmark.store.explanation_file import ExplainedSentence
from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.leaderboards.figures.depth_kept import depth_bars, depth_figure
from flowgauge.leaderboards.figures.masks import mask_figure, mask_view, text_curves, texts_figure
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.leaderboards.figures.source import Source
from flowgauge.leaderboards.site.instances import browse
from flowgauge.leaderboards.stored.comparable_cells import groups
from flowgauge.leaderboards.submission.board_reader import open_shelf
from flowgauge.methods.explanation import Explanation

from .conftest import keep, record, score

WORDS = ("[CLS]", "who", "won", "[SEP]", "the", "broncos", "won", "[SEP]")
SEGMENTS = ((-1, -1), (0, 0), (0, 1), (-1, -1), (1, 0), (1, 1), (1, 2), (-1, -1))
DEPTHS = 4


def made(name: str, seed: int) -> tuple[ExplainedSentence, Explanation]:
    sentence = ExplainedSentence(name, "c", WORDS, ("s",) * 8, SEGMENTS, 0, ("yes",), ("no",), ("yes",), True)
    return sentence, Explanation(mask=np.random.default_rng(seed).random((DEPTHS, 8)), fill=np.zeros((1, 3)))


@pytest.fixture
def masked(tmp_path) -> str:
    store = Store(str(tmp_path / "masked"))
    sentences, explanations = zip(*(made(f"rte/{n}", n) for n in range(5)), strict=True)
    classes = {
        "all": (2.0, 1.8, 2.2),
        "class/ADJ": (3.0, 2.5, 3.5),
        "class/DET": (0.5, 0.2, 0.8),
        "special/[CLS]": (3.9, 3.8, 4.0),
    }
    for method in ("diffmask-input", "diffmask-hidden"):
        one = record(method, [score("depth_kept", classes)], task="rte", instances=5)
        keep(store, one, sentences, explanations)
    return store.url


def test_a_heat_map_has_every_state(masked) -> None:
    sentence, explanation = made("rte/0", 0)
    figure = mask_figure("diffmask-hidden", sentence, explanation)
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), explanation.mask)
    assert axes.images[0].get_clim() == (0, 1)
    assert [t.get_text() for t in axes.get_yticklabels()] == ["E", "1", "2", "3"]
    assert [t.get_text() for t in axes.get_xticklabels()] == list(WORDS)
    with pytest.raises(NotApplicable, match="read from a mask"):
        mask_figure("random", sentence, Explanation(tokens=np.zeros(8)))


def test_a_method_s_page_shows_its_mask_as_plot_draws_it(masked) -> None:
    shelf = open_shelf([masked])
    (group,) = groups(shelf.records)
    found = browse(shelf, group, "", 5)
    figure = found.example("diffmask-input")
    assert figure is not None
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), made("rte/0", 0)[1].mask, atol=1e-3)


def test_curves_of_both_texts_are_means_of_instances(masked) -> None:
    source = Source(masked)
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


def test_bars_of_classes(masked) -> None:
    (group,) = Source(masked).groups
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
    (group,) = Source(store.url).groups
    axes = depth_figure(group).axes[0]
    assert axes.get_xlim() == (0, 1) and [bar.get_extents().width for bar in axes.patches] == [0]


def test_sentiment_stands_in_its_order(tmp_path) -> None:
    store = Store(str(tmp_path / "sst"))
    names = ("very positive", "neutral", "very negative", "positive", "negative", "unlabelled")
    keep(store, record("diffmask-hidden", [score("depth_kept", {"all": 1.0, **{f"class/{n}": 1.0 for n in names}})], task="sst"))
    (group,) = Source(store.url).groups
    shown = [t.get_text() for t in depth_figure(group).axes[0].get_yticklabels()]
    assert shown == ["very negative", "negative", "neutral", "positive", "very positive", "unlabelled"]


@pytest.mark.parametrize(
    ("what", "files"),
    [
        ("mask", {"mask-toy-rte-diffmask-input-0.png", "mask-toy-rte-diffmask-hidden-0.png"}),
        ("texts", {"texts-toy-rte.png"}),
        ("depth", {"depth-kept-toy-rte.png"}),
    ],
)
def test_plot_writes_them(masked, tmp_path, what, files) -> None:
    assert {path.name for path in plot(masked, what, tmp_path / "out") if path.suffix == ".png"} == files
