"""Columns and what they mean."""

from __future__ import annotations

from dataclasses import replace

from flowgauge.leaderboards.tables.columns import ACCURACY, COLUMNS, RANKED, VARIANTS, Column
from flowgauge.metrics.registry import METRICS

RANKED_VARIANT = RANKED[1]


def test_ranked_by_the_variant_that_the_metric_ranks_by():
    from flowgauge.metrics.nodes.ablated_accuracy import RANKED as variant

    assert variant == RANKED_VARIANT


def test_every_column_has_a_key_of_its_own_and_a_meaning_says_which_way_is_better() -> None:
    assert len({column.key for column in COLUMNS}) == len(COLUMNS)
    assert ACCURACY.meaning.startswith("accuracy: ")
    named = Column(key="kept", title="kept", metric="kept", variant="auc", format="share", unit="share", higher_is_better=False)
    assert named.meaning == "kept: auc (area under the curve), share; lower is better"
    assert replace(named, variant="mean").meaning == "kept: mean, share; lower is better"


def test_variants_that_are_explained_are_those_that_metrics_rank_by() -> None:
    ranked = {METRICS.create(name).ranked for name in METRICS.builtin}
    assert set(VARIANTS) <= ranked and RANKED_VARIANT in VARIANTS
