"""The layered graph: where heads stand, which segments are drawn, and how wide they are."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.leaderboards.figures.drawn_graph import HEAD_RADIUS, Grid, head_points, line_width, segments
from flowgauge.leaderboards.figures.pattern_strokes import Stroke
from flowgauge.models.flow.graph import ALL_HEADS, SKIP


def test_heads_stand_beside_skips_and_never_on_each_other():
    grid = Grid(n_layers=1, n_tokens=4)
    alone = head_points([Stroke(0, 0, 1, 5, 1, 1.0)], grid)
    assert alone[0, 1, 5][1] == grid.node(1, 1)[1]
    crowd = [Stroke(0, p, 1, head, 1, 1.0) for p in range(4) for head in range(6)] + [Stroke(0, 1, 1, SKIP, 1, 1.0)]
    places = list(head_points(crowd, grid).values())
    gaps = [np.hypot(a[0] - b[0], a[1] - b[1]) for i, a in enumerate(places) for b in places[:i]]
    assert len(places) == 6 and min(gaps) >= 2 * HEAD_RADIUS


def test_one_line_a_sign_leads_on_from_a_head():
    grid = Grid(n_layers=1, n_tokens=3)
    lines = segments([Stroke(0, 0, 1, 2, 1, 1.0), Stroke(0, 1, 1, 2, 1, 0.5), Stroke(0, 2, 1, 2, -1, 0.25)], grid)
    assert [(s.name, s.weight, s.lane) for s in lines] == [
        ("on-1-1-2-+1", 1.5, 1),
        ("edge-1-0-1-2-+1", 1.0, 0),
        ("edge-1-1-1-2-+1", 0.5, 0),
        ("edge-1-2-1-2--1", 0.25, 0),
        ("on-1-1-2--1", 0.25, -1),
    ]


def test_widths_rise_with_weight_and_stop_at_the_largest():
    assert [line_width(weight, 2.0) for weight in (0.0, 1.0, 2.0, 4.0)] == pytest.approx([1.8, 4.4, 7.0, 7.0])


def test_all_heads_is_a_node_of_its_own():
    assert list(head_points([Stroke(0, 0, 0, ALL_HEADS, 1, 1.0)], Grid(1, 1))) == [(0, 0, ALL_HEADS)]
