"""Superimposed patterns of a condition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.leaderboards.conftest import keep, patterned, record, sentence

from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import NotApplicable
from flowgauge.leaderboards.figures.aggregate import superpose
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.leaderboards.figures.source import ExplanationSource


def test_superposition_counts_sentences(drawn_store: str):
    source = ExplanationSource(drawn_store)
    explained = source.explained(source.groups[0], "influence-patterns")
    superposition = superpose(explained, None, "S")
    assert (superposition.sentences, superposition.left_out, superposition.slots, superposition.target) == (
        2,
        0,
        ("[CLS]", "SUBJ", "[MASK]", "END"),
        2,
    )
    assert {stroke.weight for stroke in superposition.strokes} == {1.0} and len(superposition.strokes) == 4


def test_only_templates_are_superposed(tmp_path: Path):

    store = Store(str(tmp_path / "store"))
    free = replace(sentence("a"), slots=("[CLS]", "0", "1", "2"))
    keep(store, record("influence-patterns", instances=1), [free], [patterned()])
    with pytest.raises(NotApplicable, match="has no template"):
        plot(store.url, "aggregate", tmp_path)
