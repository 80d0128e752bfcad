"""Costs of methods: ratios to a pass that is timed beside each of them, and whole trainings from shortened ones."""

from __future__ import annotations

from flowgauge.benchmark.catalogue.costs import CostTable
from flowgauge.benchmark.speed import method_costs


def test_costs_are_ratios_to_the_pass_of_the_same_repeat(monkeypatch):
    taken = iter([1.0, 50.0, 2.0, 3.0, 4.0, 10.0, 1.0, 2.0])  # the first pair is the warm-up
    monkeypatch.setattr(method_costs, "_seconds", lambda job: next(taken))
    measured = method_costs.measure_costs(sentences=2, repeats=3, training=64, methods=["attention"])
    assert measured["methods"] == {"attention": {"ratio": 2.0, "low": 1.5, "high": 2.5}}
    assert (measured["model"], measured["sentences"], measured["tokens"]) == ("agreement-bert", 2, 11)
    assert CostTable.model_validate(measured).methods["attention"].training is None


def test_slow_methods_are_timed_once(monkeypatch):
    taken = iter([2.0, 2 * method_costs.LONG])
    monkeypatch.setattr(method_costs, "_seconds", lambda job: next(taken))
    measured = method_costs.measure_costs(sentences=2, repeats=3, training=64, methods=["random"])
    assert measured["methods"]["random"] == {"ratio": 60.0, "low": 60.0, "high": 60.0}


def test_a_training_counts_all_its_steps(monkeypatch):
    monkeypatch.setattr(method_costs, "SHORTENED", {"diffmask-hidden": {"steps": 2, "fallback": 1e9}})
    measured = method_costs.measure_costs(sentences=2, repeats=1, training=64, methods=["diffmask-hidden", "ib-attribution"])
    masks, noise = measured["methods"]["diffmask-hidden"], measured["methods"]["ib-attribution"]
    assert masks["training"] > 100 * noise["training"] > 0 and 0 < masks["ratio"] < noise["ratio"]
