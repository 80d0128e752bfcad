"""Records of four methods on one task, with numbers that can be checked by eye."""

from __future__ import annotations

from flowgauge.benchmark.store.record import Record, Score
from flowgauge.leaderboards.tables.columns import RANKED
from flowgauge.metrics.scores import Aggregate

from ..conftest import record, score

RANKED_VARIANT = RANKED[1]


def accuracy(value: float, gold: float = 0.9, **more: object) -> Score:
    return score("ablated_accuracy", {RANKED_VARIANT: (value, value - 0.1, value + 0.1), "embedding/matched/gold": gold, **more})


def few() -> list[Record]:
    patterns = accuracy(
        0.75, 0.96, **{"attention/matched/gold": 0.5, "attention/matched/predicted": 0.25, "original": 1.0, "chance": 0.5}
    )
    spread = Aggregate(variant="embedding/matched/gold", value=0.55, low=0.5, high=0.6, count=8, sd_draws=0.03)
    return [
        record("influence-patterns", [patterns, score("path_share", {"embedding": 0.06, "attention": 1.8e-6})]),
        record(
            "attention",
            [
                accuracy(0.75),
                Score(
                    metric="concentration@1",
                    name="concentration",
                    version=1,
                    settings={},
                    status="not-applicable",
                    reason="no influence.",
                ),
            ],
        ),
        record("random", [score("ablated_accuracy", {RANKED_VARIANT: 0.5, "embedding/matched/gold": spread})]),
        record("conductance", status="failed", error="ran out of memory.", instances=0, cost=None),
    ]
