"""Pattern entropy: the stored points, and the line through them."""

from __future__ import annotations

import pytest

from flowgauge.leaderboards.figures.entropy import EntropyPoint, fit_line, slot_points, task_points
from flowgauge.leaderboards.figures.source import ExplanationSource


def test_entropy_points_are_those_stored(drawn_store: str):
    task_groups = ExplanationSource(drawn_store).groups
    assert slot_points(task_groups, "influence-patterns") == [
        EntropyPoint("sva/obj [CLS]", 0.5, 0.3),
        EntropyPoint("sva/obj SUBJ", 1.5, 0.1),
        EntropyPoint("sva/obj END", 1.0, 0.2),
    ]
    assert slot_points(task_groups, "attention") == [EntropyPoint("sva/obj SUBJ", 1.5, 0.2)]
    assert task_points(task_groups, "influence-patterns") == [EntropyPoint("sva/obj", 1.25, 0.25)]
    assert task_points(task_groups, "attention") == [EntropyPoint("sva/obj", 1.25, 0.4)]


def test_the_line_is_fitted():
    line = fit_line([EntropyPoint("a", 0.5, 0.3), EntropyPoint("b", 1.5, 0.1), EntropyPoint("c", 1.0, 0.2)])
    assert (line.slope, line.intercept, line.rvalue) == pytest.approx((-0.2, 0.4, -1.0))
    assert fit_line([EntropyPoint("a", 0.5, 0.3), EntropyPoint("b", 1.5, 0.1)]) is None
    assert fit_line([EntropyPoint(str(x), x, 0.3) for x in range(4)]) is None
