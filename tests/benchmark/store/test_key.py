"""What identifies a cell, a method and a metric."""

from __future__ import annotations

from flowgauge.benchmark.store.key import metric_id, short_hash


class _Metric:
    name, version = "m", 2

    def __init__(self, k: int = 1) -> None:
        self.k = k


def test_metric_settings_are_part_of_its_name(monkeypatch) -> None:
    monkeypatch.setattr("flowgauge.benchmark.store.key.source_hash", lambda _: "")
    assert metric_id(_Metric()) == metric_id(_Metric(1)) == "m@2"
    assert metric_id(_Metric(3)) == "m@2-" + short_hash(({"k": 3}, ""), 8)
