"""The report of a paper as files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.display.reproduction import report_page, write_report
from flowgauge.leaderboards.reproduction.report import PaperReport, markdown


def test_the_page_stands_alone_and_has_every_number(toy_report: PaperReport) -> None:
    page = report_page(toy_report)
    assert "<script" not in page and not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("<td") == 15 and page.count("<td></td>") == 4  # nan is an empty cell
    assert page.count('class="fg-for"') == 3 and "smaller model" in page and "theirs &lt; 1" in page
    assert page.count("<img ") == 1
    assert page == report_page(toy_report)


def test_files_are_written_with_the_figures_of_the_runs(toy_report: PaperReport, tmp_path: Path) -> None:
    files = write_report(toy_report, tmp_path / "out")
    names = ["toy-paper.html", "toy-paper.md", "toy-paper.json", "toy-paper-Table-1.png", "toy-paper-Table-1.svg"]
    assert [path.name for path in files] == names and all(path.stat().st_size for path in files)
    assert files[1].read_text() == markdown(toy_report)


def test_a_figure_without_data_is_named(toy_report: PaperReport, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, *rest = toy_report.reproduction.outcomes
    drawing = replace(first, run=first.run.model_copy(update={"figures": ("entropy",)}))
    report = replace(toy_report, reproduction=replace(toy_report.reproduction, outcomes=(drawing, *rest)))
    assert len(write_report(report, tmp_path)) == 5
    assert "the figure 'entropy' of run agreement is left out" in caplog.text


def test_a_folder_that_cannot_be_written_is_one_line(toy_report: PaperReport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write to .*choose another folder with --out"):
        write_report(toy_report, tmp_path / "file" / "inside")
