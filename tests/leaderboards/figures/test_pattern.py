"""Patterns drawn as SVG: dashes, heads, signs, and two sentences side by side."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from tests.leaderboards.figures.conftest import group_of, svg

from flowgauge.leaderboards.figures.pattern import gallery_pages
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.leaderboards.figures.source import ExplanationSource
from flowgauge.models.flow.graph import SKIP


def test_a_pattern_has_dashed_skips_and_heads_from_one(drawn_store: str, tmp_path: Path):
    text = svg(plot(drawn_store, "pattern", tmp_path / "out", instance="a"))
    assert "stroke-dasharray" in group_of(text, f"skip-1-1-1-{SKIP}-+1")
    assert "stroke-dasharray" not in group_of(text, "edge-2-1-2-2-+1")
    assert set(re.findall(r'id="(head-[^"]+)"', text)) == {"head-1-2-1", "head-2-2-3"}
    assert re.search(r">3</text>", text) and "cats" in text and "influence (logits)" in text


def test_small_words_are_drawn_only_when_asked_for(drawn_store: str, tmp_path: Path):
    few = svg(plot(drawn_store, "pattern", tmp_path / "few", instance="a"))
    all_words = svg(plot(drawn_store, "pattern", tmp_path / "all", instance="a", share=0.0))
    name = f"skip-1-0-0-{SKIP}-+1"
    assert f'id="{name}"' not in few and f'id="{name}"' in all_words


def test_sign_is_drawn_twice(drawn_store: str, tmp_path: Path):
    text = svg(plot(drawn_store, "pattern", tmp_path / "out", instance="a"))
    green, red = group_of(text, "edge-2-1-2-2-+1"), group_of(text, "edge-1-3-2-0--1")
    assert "#009e73" in green and "#d55e00" in red
    after = text[text.index('id="edge-1-3-2-0--1"') :]
    assert "stroke: #ffffff" in after[: after.index("</g>", after.index("</g>") + 1)]


def test_two_sentences_stand_side_by_side(drawn_store: str, tmp_path: Path):
    (single, _), (double, _) = (plot(drawn_store, "pattern", tmp_path, instance=names) for names in (["a"], ["a", "c"]))
    assert double.name == "pattern-toy-sva-obj-influence-patterns-a-and-c.png"
    assert png_size(double) == pytest.approx((2 * png_size(single)[0], png_size(single)[1]), abs=2)


def png_size(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[16:24]
    return int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")


def test_a_gallery_has_twelve_panels_a_page(drawn_store: str):
    source = ExplanationSource(drawn_store)
    explained = source.explained(source.groups[0], "influence-patterns")
    pages = gallery_pages(explained, None, ["a"] * 13)
    assert [len(page.axes) for page in pages] == [2 * 12, 2]  # bars and a graph for each panel
    (page,) = gallery_pages(explained, None)
    assert [axes.get_xlabel() for axes in page.axes[::2]] == ["influence (logits)"] * 2


def test_the_legend_of_a_shallow_model_is_inside_the_figure(drawn_store: str) -> None:
    source = ExplanationSource(drawn_store)
    explained = source.explained(source.groups[0], "influence-patterns")
    (page,) = gallery_pages(explained, None, ["a"])
    renderer, width = FigureCanvasAgg(page).get_renderer(), page.bbox.width
    for axes in page.axes:
        for box in (
            axes.get_tightbbox(renderer),
            *(legend.get_window_extent(renderer) for legend in [axes.get_legend()] if legend),
        ):
            assert box.x0 >= 0 and box.x1 <= width
    notes = [text.get_window_extent(renderer) for text in page.texts]
    assert notes and max(box.x1 for box in notes) <= width
