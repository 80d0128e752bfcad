"""Replaced skips, and the patterns that they share with influence-patterns."""

from __future__ import annotations

from flowgauge.methods.patterns.influence_patterns import InfluencePatterns
from flowgauge.methods.patterns.repl_skip import ReplacedSkips
from flowgauge.models.flow.graph import ALL_HEADS, SKIP


def test_repl_skip_opens_all_heads_where_a_skip_was(model, batch):
    patterns = InfluencePatterns(samples=5).explain(model, batch)[0].patterns
    replaced = ReplacedSkips(samples=5).explain(model, batch)[0].patterns
    assert (patterns.heads == SKIP).any()
    assert ((replaced.heads == ALL_HEADS) == (patterns.heads == SKIP)).all()
    assert (replaced.heads[patterns.heads != SKIP] == patterns.heads[patterns.heads != SKIP]).all()


def test_remembered_patterns_are_charged(model, batch):
    method = InfluencePatterns(samples=3)
    first = method.explain(model, batch)
    again = method.explain(model, batch)
    assert again[0] is first[0] and len(batch.cache["charges"]) == 1
