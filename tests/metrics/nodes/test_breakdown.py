"""Scores by condition and by lexical item."""

from __future__ import annotations

import pytest
from tests.metrics.conftest import instance

from flowgauge.core.errors import UsageError
from flowgauge.metrics.nodes.breakdown import by_condition, by_item
from flowgauge.metrics.scores import frame, score_row


def test_scores_by_condition_and_by_item():
    verbs = ["hate", "love", "hate", "love"]
    instances = [instance(f"i{n}", "AABB"[n], verbs[n]) for n in range(4)]
    rows = frame([score_row(i, "x", float(n)) for n, i in enumerate(instances)])
    conditions = by_condition(rows)
    assert conditions[["variant", "condition", "value", "count"]].to_numpy().tolist() == [["x", "A", 0.5, 2], ["x", "B", 2.5, 2]]
    items = by_item(rows, instances, "VERB")
    assert items[["variant", "item", "value", "count"]].to_numpy().tolist() == [["x", "hate", 1.0, 2], ["x", "love", 2.0, 2]]
    with pytest.raises(UsageError, match="'i0' has no item for 'NOUN'; it has VERB"):
        by_item(rows, instances, "NOUN")
    with pytest.raises(UsageError, match="1 scored instances are not among those given, first 'i3'"):
        by_item(rows, instances[:3], "VERB")
