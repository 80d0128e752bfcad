"""The page of papers whose numbers were measured again: what it shows of each, and its table as a file."""

from __future__ import annotations

import pandas as pd

from ..export.sheets import Sheet
from ..reproduction.report_file import StoredReport, StoredTable

COLUMNS = ("table", "row", "column", "ours", "low", "high", "count", "published", "verdict", "why")


def measured_tables(report: StoredReport) -> tuple[StoredTable, ...]:
    """The tables of which something was measured.

    Args:
        report: The paper's.
    """
    return tuple(table for table in report.tables if table.measured)


def paper_sheet(report: StoredReport) -> Sheet:
    """A row for every number of a paper: ours with its interval, the published one and the verdict."""
    places = [
        (table, row, column, number)
        for table in report.tables
        for row in table.rows
        for column, number in zip(table.columns, row.numbers, strict=True)
        if number is not None
    ]
    rows = [
        (t.place, row.title, column, n.value, n.low, n.high, n.count, str(n.published), n.verdict, n.why)
        for t, row, column, n in places
    ]
    shown = [(t.place, row.title, column, n.ours, n.theirs, n.verdict) for t, row, column, n in places]
    data = pd.DataFrame(rows, columns=list(COLUMNS))
    data = data.astype({name: "float64" for name in ("ours", "low", "high")} | {"count": "Int64"})
    head = ["table", "row", "column", "ours [95 %]", "published", "verdict"]
    return Sheet(data, pd.DataFrame(shown, columns=head), f"{report.title}, measured again.")
