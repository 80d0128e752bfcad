"""Ours against theirs as a picture."""

from __future__ import annotations

from typing import Any

import pytest

from flowgauge.leaderboards.reproduction.figure import comparison_figure
from flowgauge.leaderboards.reproduction.report import ComparedRow, ComparedTable, PaperReport


def test_a_table_is_drawn_from_its_compared_numbers(toy_report: PaperReport) -> None:
    table = toy_report.tables[0]
    figure = comparison_figure(toy_report, table)
    assert figure is not None
    (axes,) = figure.axes
    drawn: list[Any] = [bars[0] for bars in axes.containers]
    assert [line.get_xdata()[0] for line in drawn] == [0.5, 1e6, -1e6]
    ours = [
        n.entry.value for row, _, n in table.numbers if row.title in ("near everything", "far from everything", "one condition")
    ]
    assert [line.get_ydata()[0] for line in drawn] == pytest.approx([ours[0], *ours[2:]])
    assert "1 of 3 published numbers are within" in figure.texts[1].get_text()


def test_a_table_of_few_numbers_is_not_drawn(toy_report: PaperReport) -> None:
    table = toy_report.tables[0]
    assert comparison_figure(toy_report, ComparedTable(table.table, tuple(ComparedRow(*row) for row in table.rows[2:]))) is None
    assert comparison_figure(toy_report, toy_report.tables[1]) is None
