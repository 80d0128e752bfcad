"""The page of papers that were measured again: every number with its verdict, and what was not measured."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.leaderboards.synthetic import HOSTILE, synthetic_store

from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.reproduction.report_file import read_report
from flowgauge.leaderboards.site.build import build
from flowgauge.leaderboards.site.papers import measured_tables, paper_sheet

from .conftest import Page, need_charts, paper_file


def test_tables_of_which_nothing_was_run_are_left_out(tmp_path: Path) -> None:
    assert [table.place for table in measured_tables(read_report(paper_file(tmp_path)))] == ["Table 1"]


def test_the_downloaded_table_has_every_number(tmp_path: Path) -> None:
    data = paper_sheet(read_report(paper_file(tmp_path))).data
    assert data[["table", "row", "column", "published", "verdict"]].to_numpy().tolist() == [
        ["Table 1", "near", "obj", "0.5", "within"], ["Table 1", "far", "obj", "0.9", "outside"],
        ["Table 1", "far", "subj", "> 0", "not run"], ["Table 2", "far", "obj", "> 0", "not run"],
        ["Table 2", "far", "subj", "> 0", "not run"],
    ]  # fmt: skip
    assert data.loc[0, ["ours", "low", "high", "count"]].tolist() == [0.52, 0.41, 0.63, 16]
    assert pd.isna(data.loc[2, "ours"]) and pd.isna(data.loc[2, "count"])


def test_the_page_has_a_part_a_paper_and_no_text_of_a_file_is_markup(tmp_path: Path) -> None:
    need_charts()
    papers = [paper_file(tmp_path), paper_file(tmp_path, "other")]
    papers[1].write_text(papers[1].read_text().replace("what is kept", HOSTILE.replace('"', '\\"')))
    build([synthetic_store(tmp_path / "store", 2, 1, 1)], tmp_path / "site", papers=papers)
    page, text = Page(tmp_path / "site" / "papers.html"), (tmp_path / "site" / "papers.html").read_text(encoding="utf-8")
    assert [fields["id"] for tag, fields in page.tags if tag == "section"] == ["toy-paper", "other"]
    assert text.count("0.52 <span") == 4 and text.count("paper 0.90") == 2 and "not run: no data" in text
    assert "<script>alert" not in text and "<img src=x" not in text
    anchors = [fields["id"] for tag, fields in page.tags if tag == "h3" and "id" in fields]
    assert len(set(anchors)) == 2 and {f"#{name}" for name in anchors} <= set(page.addresses())


def test_a_paper_has_one_file(tmp_path: Path) -> None:
    need_charts()
    store, path = synthetic_store(tmp_path / "store", 2, 1, 1), paper_file(tmp_path)
    with pytest.raises(UsageError, match="one of 2 files of the paper toy-paper"):
        build([store], tmp_path / "site", papers=[path, path])
    assert not (tmp_path / "site").exists()
