"""Forged: the rows of a score."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from ...forged import cell, edit_rows
from .catalogue import AOPC, caught_by
from .edits import in_one_cluster


@caught_by("1 of 24 recomputed rows differ")
def one_row(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(value=rows["value"].where(rows.index != 7, 1.0)), AOPC)


@caught_by("recomputed rows differ by up to 0.001")
def every_row_by_a_thousandth(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(value=rows["value"] + 1e-3), AOPC)


@caught_by("recomputed rows differ")
def rows_of_another_method(bundle: Path) -> None:
    other = pq.read_table(cell(bundle, "influence-patterns") / "scores" / f"{AOPC}.parquet").to_pandas()
    edit_rows(cell(bundle, "saliency"), lambda rows: other, AOPC)


@caught_by("explained instances have no row of aopc")
def rows_left_out(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows[rows["instance"] != rows["instance"].iloc[0]], AOPC)


@caught_by("recomputed rows are missing from it")
def a_draw_left_out(bundle: Path) -> None:
    edit_rows(cell(bundle, "random"), lambda rows: rows[rows["draw"] > 0], AOPC)


@caught_by("an instance has two rows of one variant and draw")
def rows_twice(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: pd.concat([rows, rows.head(3)]), AOPC)


@caught_by("of its rows are not recomputed, first")
def rows_that_nobody_asked_for(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: pd.concat([rows, rows.assign(draw=1, value=1.0)]), AOPC)


@caught_by("scores that are NaN without a reason")
def a_row_without_a_reason(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(value=rows["value"].where(rows.index != 7)), AOPC)


@caught_by("recomputed rows differ in being defined")
def a_bad_row_undefined(bundle: Path) -> None:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(value=rows["value"].where(rows.index != 7), reason=rows["reason"].where(rows.index != 7, "no words."))

    edit_rows(cell(bundle, "saliency"), change, AOPC)


@caught_by("the reason of ")
def a_reason_of_a_row(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(reason="trust me."), AOPC)


@caught_by("scores lie outside [-1, 1], first 3")
def rows_out_of_bounds(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(value=3.0), AOPC)


@caught_by("of condition ")
def conditions_of_rows(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(condition="easy"), AOPC)


@caught_by("of cluster none, not passage 7")
def clusters_of_rows(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), in_one_cluster, AOPC)


@caught_by("its rows have the columns")
def a_column_of_rows_that_stands_elsewhere(bundle: Path) -> None:
    edit_rows(cell(bundle, "saliency"), lambda rows: rows.assign(cluster="passage 7"), AOPC)
