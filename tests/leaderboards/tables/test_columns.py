"""Columns and what they mean."""

from __future__ import annotations

from flowgauge.leaderboards.tables.columns import ACCURACY, COLUMNS, RANKED, Column

RANKED_VARIANT = RANKED[1]


def test_ranked_by_the_variant_that_the_metric_ranks_by():
    from flowgauge.metrics.nodes.ablated_accuracy import RANKED as variant

    assert variant == RANKED_VARIANT


def test_every_column_has_a_key_of_its_own_and_a_meaning_says_which_way_is_better() -> None:
    assert len({column.key for column in COLUMNS}) == len(COLUMNS)
    assert ACCURACY.meaning.startswith("accuracy: ")
    named = Column(key="kept", title="kept", metric="kept", variant="auc", format="share", unit="share", higher_is_better=False)
    assert named.meaning == "kept: auc, share; lower is better"
