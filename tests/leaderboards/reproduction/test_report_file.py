"""The report of a paper as JSON: every number of it, and the same when it is read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.reproduction.report import PaperReport
from flowgauge.leaderboards.reproduction.report_file import read_report, stored_report


def test_every_number_of_the_report_is_stored(toy_report: PaperReport) -> None:
    stored = stored_report(toy_report)
    assert (stored.paper, stored.title, list(stored.summary)) == ("toy-paper", toy_report.title, toy_report.summary())
    assert [(gap.what, gap.why) for gap in stored.missing] == [("Table 2", "it has no numbers")]
    for table, kept in zip(toy_report.tables, stored.tables, strict=True):
        places = {(row.title, column.title): number for row, column, number in table.numbers}
        for row in kept.rows:
            for column, number in zip(kept.columns, row.numbers, strict=True):
                given = places.pop((row.title, column), None)
                assert (number is None) == (given is None)
                if number is not None and given is not None:
                    assert (number.ours, number.theirs, number.verdict) == (given.ours, given.theirs, given.verdict.word)
                    assert number.value == (given.entry.value if given.entry.known else None)
        assert not places
    near = stored.tables[0].rows[0].numbers[0]
    assert near is not None and near.value is not None and near.low is not None and near.high is not None
    assert near.low <= near.value <= near.high and near.count == 16


def test_what_is_read_is_what_was_written(toy_report: PaperReport, tmp_path: Path) -> None:
    stored = stored_report(toy_report)
    (tmp_path / "toy.json").write_text(stored.model_dump_json())
    assert read_report(tmp_path / "toy.json") == stored


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "its kind is not"),
        ("{", "Expecting"),
        ('{"kind": "flowgauge-reproduction", "paper": "x"}', "title: Field required"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(UsageError, match="`flowgauge reproduce PAPER --out DIR` writes one") as refused:
        read_report(tmp_path / "other.json")
    assert why in str(refused.value) and "\n" not in str(refused.value)


def test_a_row_with_too_few_numbers_is_refused(toy_report: PaperReport, tmp_path: Path) -> None:
    stored = stored_report(toy_report).model_dump()
    stored["tables"][0]["rows"][0]["numbers"] = []
    (tmp_path / "toy.json").write_text(json.dumps(stored))
    with pytest.raises(UsageError, match=r"tables\.0: .* has 0 numbers, and there are 2 columns"):
        read_report(tmp_path / "toy.json")
