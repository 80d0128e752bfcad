"""Tables as text: formats of numbers, notes, and what stands below a table."""

from __future__ import annotations

import pytest

from flowgauge.leaderboards.tables.entries import TableEntry
from flowgauge.leaderboards.tables.task_tables import TableRow, TaskTable
from flowgauge.leaderboards.tables.terminal import Notes, as_text, number


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [(0.98765, "share", ".988"), (1.23e-6, "small", "1.2e-06"), (12.345, "number", "12.3"), (-0.25, "share", "-.250")],
)
def test_numbers_have_the_format_of_their_column(value, form, text) -> None:
    assert number(value, form) == text


def test_the_same_reason_has_one_note_and_a_dash_needs_none() -> None:
    notes = Notes()
    assert [notes.mark(reason) for reason in ("no words.", "not run", "no heads.", "no words.")] == ["n/a¹", "-", "n/a²", "n/a¹"]
    assert notes.lines() == ["¹ n/a: no words.", "² n/a: no heads."]


def shown(ranked_on: int | None, counts: tuple[int, int], seeds: int = 1) -> str:
    rows = [
        TableRow(rank=index + 1, label=name, cells=_cells(count), seeds=seeds if index == 0 else 1)
        for index, (name, count) in enumerate(zip("ab", counts, strict=True))
    ]
    table = TaskTable(model="m", task="t", instances=40, note="", rows=tuple(rows), beside={}, ranked_on=ranked_on)
    return as_text([table], [])


def _cells(count: int) -> dict[str, TableEntry]:
    from flowgauge.leaderboards.tables.columns import COLUMNS

    return {column.key: TableEntry(reason="not run") for column in COLUMNS} | {"accuracy": TableEntry(0.5, 0.4, 0.6, count)}


def test_a_line_says_on_how_many_instances_the_ranks_rest_where_methods_have_others_too() -> None:
    assert "ranks are of the 30 instances that every ranked method has a score of" in shown(30, (30, 40))
    assert "ranks are of" not in shown(40, (40, 40)) and "ranks are of" not in shown(None, (40, 40))
    assert "no instance has a score of every method, so none is ranked" in shown(0, (20, 20))


def test_a_line_says_how_many_seeds_were_averaged() -> None:
    assert "a: mean of 3 seeds" in shown(40, (40, 40), seeds=3) and "seeds" not in shown(40, (40, 40))
