"""The metrics of the scorecard fit the views, and are there."""

from __future__ import annotations

from flowgauge.methods.explanation import VIEWS
from flowgauge.metrics.registry import METRICS
from flowgauge.metrics.scorecard import SCORECARD, metrics_for


def test_every_metric_exists_and_reads_views_that_exist() -> None:
    named = [name for group in SCORECARD.values() for name in group]
    assert len(named) == len(set(named)) and {*named} <= {*METRICS.entries()}
    assert {view for group in SCORECARD.values() for readable in group.values() for view in readable} <= {*VIEWS}


def test_every_view_has_a_metric() -> None:
    for view in VIEWS:
        assert metrics_for([{view}], ["sva/obj"]), view


def test_methods_together_have_the_metrics_of_each() -> None:
    together = metrics_for([{"tokens"}, {"heads"}], ["sva/obj"])
    assert {*together} == {*metrics_for([{"tokens"}], ["sva/obj"]), *metrics_for([{"heads"}], ["sva/obj"])}
    assert "ground_truth" in metrics_for([{"nodes"}], ["sva/obj", "planted/relay"]) and "ground_truth" not in together


def test_what_ablates_nodes_has_the_shift_of_its_states_beside_it() -> None:
    assert metrics_for([{"nodes"}], ["sva/obj"])[-1] == "ablation_shift"
    assert "ablation_shift" not in metrics_for([{"heads"}, {"tokens"}], ["sva/obj"])
