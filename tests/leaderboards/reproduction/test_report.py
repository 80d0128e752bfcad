"""The toy paper from its file to the report: every verdict, as rows and as Markdown."""

from __future__ import annotations

from dataclasses import replace

from flowgauge.leaderboards.reproduction.report import QUICK, PaperReport, compare_with_paper, long_rows, markdown, why_lines


def test_every_kind_of_verdict(toy_report: PaperReport) -> None:
    words = {(row.title, column.title): n.verdict.word for table in toy_report.tables for row, column, n in table.numbers}
    gain = words.pop(("gain", "all tasks"))
    assert gain in ("within", "outside")
    assert words == {
        ("near everything", "obj"): "within",
        ("near everything", "reviews"): "not run",
        ("far from everything", "obj"): "outside",
        ("counted in another way", "obj"): "not comparable",
        ("by size", "obj"): "not comparable",
        ("one condition", "obj"): "outside",
        ("mean", "all tasks"): "holds",
        ("difference", "all tasks"): "fails",
        ("rank correlation", "all tasks"): "open",
        ("agreement of words", "all tasks"): "holds",
    }
    assert sum(toy_report.counts().values()) == 11


def test_the_summary_says_what_was_run_on_which_model(toy_report: PaperReport) -> None:
    count, agreement, reviews = toy_report.summary()
    assert count.startswith("11 published numbers and statements, of which 8 are compared: ")
    assert "agreement (one agreement task): tiny-bert-masked-1 (2 layers of 4 heads, width 32), smaller model; " in agreement
    assert "the paper's is a toy model (2 layers of 4 heads, width 64). 16 instances a task" in agreement
    assert agreement.endswith("Fewer sentences.")
    assert reviews.startswith("sst2 (reviews): not run: needs a model fine-tuned on sst2")
    quick = replace(toy_report, reproduction=replace(toy_report.reproduction, quick=True))
    assert quick.summary()[0] == QUICK


def test_long_rows_have_ours_and_theirs(toy_report: PaperReport) -> None:
    head, first, second, *_ = long_rows(toy_report.tables[0])
    assert head == ("row", "column", "ours", "n", "theirs", "verdict")
    assert first[:2] == ("near everything", "obj") and first[3:] == ("16", "0.50", "within, smaller model")
    assert second == ("near everything", "reviews", "-", "", "0.10", "not run")


def test_reasons_stand_below_a_table_once(toy_report: PaperReport) -> None:
    lines = why_lines(toy_report.tables[0])
    assert "not comparable: theirs counts commas (counted in another way, obj)" in lines
    assert sum(line.startswith("not run: needs a model") for line in lines) == 1


def test_markdown_has_the_papers_rows_and_columns(toy_report: PaperReport) -> None:
    text = markdown(toy_report)
    assert text.startswith("## Nobody 2000, A toy (nowhere)\n")
    assert "### Table 1: sufficiency\n\n|  | obj | reviews |\n| :-- | :-- | :-- |\n| near everything | " in text
    assert "; 0.50: within, smaller model | -; 0.10: not run |" in text
    assert "\n### Not covered\n\n- Table 2: it has no numbers\n" in text
    (row,) = (line for line in text.splitlines() if line.startswith("| agreement of words"))
    assert "&lt; 1: holds" in row


def test_rows_and_columns_of_one_title_are_places_of_their_own(toy_report: PaperReport) -> None:
    (table, *_) = toy_report.reproduction.paper.tables
    row = table.rows[0]
    other = row.model_copy(update={"of": tuple(source.model_copy(update={"method": "top"}) for source in row.of)})
    paper = toy_report.reproduction.paper.model_copy(update={"tables": (table.model_copy(update={"rows": (row, other)}),)})
    compared = compare_with_paper(replace(toy_report.reproduction, paper=paper)).tables[0]
    first, second = (numbers[0] for _, numbers in compared.rows)
    assert first is not None and second is not None and first.entry.value != second.entry.value
