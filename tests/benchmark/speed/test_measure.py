"""The speed table: what is in it, and that its ratios are ratios."""

from __future__ import annotations

import statistics
from dataclasses import asdict

import pytest

from flowgauge.benchmark.speed import measure as speed
from flowgauge.benchmark.speed.peers.published_attattr import LITERAL


def test_rows_are_medians_of_ratios_to_the_plain_pass(monkeypatch):
    small = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32, "vocab_size": 30522}
    monkeypatch.setattr(speed, "SHAPE", small)
    found = speed.measure(repeats=2, sentences=3, tokens=5, samples=4)
    rows = {row.name: row for row in found.rows}
    assert rows[speed.UNIT].ratio == rows[speed.UNIT].low == rows[speed.UNIT].high == 1
    assert {"path trace", "embedding level", "attention level", "captum conductance, all 2 layers"} < set(rows)
    assert all(row.low <= row.ratio <= row.high and row.seconds > 0 for row in found.rows)
    assert (found.layers, found.heads, found.width, found.sentences, found.repeats) == (2, 2, 16, 3, 2)
    assert asdict(found)["rows"][0]["name"] == speed.UNIT
    ours, published = rows["attattr, 20 steps"], rows[LITERAL]
    assert published.ratio == published.low == published.high == 1
    assert ours.unit == published.unit == LITERAL and rows["path trace"].unit == speed.UNIT


def test_the_sum_and_all_layers_by_hand():
    taken = {
        speed.UNIT: [1.0, 2.0],
        "path trace": [2.0, 2.0],
        "embedding level": [1.0, 1.0],
        "attention level": [0.5, 1.0],
        speed.CAPTUM_UNIT: [0.5, 0.5],
        "captum conductance, all 6 layers": [1.0, 2.0],
        LITERAL: [4.0, 5.0],
        "attattr, 20 steps": [1.0, 2.0],
    }
    rows = {row.name: row for row in speed._rows(taken, 6)}
    total = rows["influence patterns (all words, both levels)"]
    assert (total.seconds, total.ratio, total.low, total.high) == (3.75, statistics.median([3.5, 2.0]), 2.0, 3.5)
    assert rows["captum conductance, all 6 layers"].ratio == pytest.approx(18)
    assert speed.CAPTUM_UNIT not in rows
    assert (rows["attattr, 20 steps"].ratio, rows["attattr, 20 steps"].high) == pytest.approx((0.325, 0.4))
