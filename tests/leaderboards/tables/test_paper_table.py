"""The table of the published paper."""

from __future__ import annotations

import pytest

from flowgauge.leaderboards.tables.paper_table import paper_tables

from ..conftest import record
from .conftest import accuracy, few


def test_the_published_shape():
    tasks = [record("attention", [accuracy(0.1, 0.2)], task=task) for task in ("ra/ga", "mine", "sva/subj")]
    (table,) = paper_tables([*few(), *tasks])
    assert table.tasks == ("sva/obj", "sva/subj", "ra/ga", "mine")
    first = {title: cells[0] for title, cells in table.gold.items()}
    assert (first["Pi_+^e"].value, first["Pi_+^a"].value, first["share e"].value) == (0.96, 0.5, 0.06)
    assert first["share a (1e-6)"].value == pytest.approx(1.8)
    assert (first["random e"].value, first["random e"].spread) == (0.55, 0.03)
    assert first["repl_skip"].reason == "not run"
    assert [cell.value for cell in table.gold["attention"]] == [0.9, 0.2, 0.2, 0.2]
    assert [cell.value for cell in table.predicted["attention"]] == [0.75, 0.1, 0.1, 0.1]
    assert "original" not in table.predicted
