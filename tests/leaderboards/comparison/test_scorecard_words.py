"""The lines below a scorecard say what its columns mean."""

from __future__ import annotations

from flowgauge.leaderboards.comparison.scorecard import REPEATABILITY
from flowgauge.leaderboards.comparison.scorecard_words import COSTS, ORDER, legend
from flowgauge.metrics.registry import METRICS
from flowgauge.metrics.scorecard import SCORECARD


def test_every_metric_of_the_scorecard_and_every_cost_has_a_line_of_its_own():
    metrics = [name for group in SCORECARD.values() for name in group]
    heads = [f"{name}\n{METRICS.create(name).ranked}, more is better" for name in metrics]
    costs = ["seconds\nan explanation", "processor s\nan explanation", "passes\nan explanation", *REPEATABILITY.values()]
    first, *lines, last = legend(["method", *heads, *costs, *heads])
    assert first == ORDER and "flowgauge info" in last
    assert [line.partition(":")[0] for line in lines] == [*metrics, *COSTS]
    assert all("\n" not in line and line.endswith(".") for line in lines)
    assert "(aopc: mean over the top" in lines[0]


def test_a_metric_of_a_users_file_has_no_line():
    assert legend(["method", "mine\nall, more is better"])[1:] == legend(["method"])[1:]
