"""A paper's numbers beside ours as files: a page of its own, Markdown, JSON, and pictures."""

from __future__ import annotations

import base64
import logging
from itertools import product
from pathlib import Path

from ..benchmark.store.atomic_files import write_file
from ..core.errors import UsageError
from ..leaderboards.figures.plot import plot
from ..leaderboards.figures.style import save
from ..leaderboards.reproduction.figure import comparison_figure
from ..leaderboards.reproduction.report import ComparedTable, PaperReport, markdown, verdict_text, why_lines
from ..leaderboards.reproduction.report_file import stored_report
from ..leaderboards.reproduction.verdict import WORDS
from .page import templates
from .pictures import picture_bytes

log = logging.getLogger(__name__)
COLOURS = {"within": "for", "holds": "for", "outside": "against", "fails": "against"}
"""The verdicts that a page colours, and how."""


def report_page(report: PaperReport) -> str:
    """The report as a page of its own: HTML and CSS alone, with its pictures inside."""
    drawn = {id(table): _as_text(report, table) for table in report.tables}
    content = templates().get_template("reproduction.html").render(
        report=report, pictures=drawn, why_lines=why_lines, verdict_text=verdict_text, colours=COLOURS, words=WORDS, key=id
    )  # fmt: skip
    return templates().get_template("page.html").render(title=report.title, content=content)


def write_report(report: PaperReport, out: Path) -> list[Path]:
    """Writes the page, Markdown, JSON and the pictures: ours against theirs, and what the paper's figures show of the runs.

    Args:
        report: The report.
        out: A folder, which is made.

    Returns:
        The files.

    Raises:
        UsageError: The folder cannot be written.
    """
    name = report.reproduction.paper.name
    stored = stored_report(report).model_dump_json(indent=1) + "\n"
    files = {out / f"{name}.html": report_page(report), out / f"{name}.md": markdown(report), out / f"{name}.json": stored}
    try:
        for path, text in files.items():
            write_file(path, text)
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror or error}; choose another folder with --out.") from error
    written = list(files)
    for table in report.tables:
        figure = comparison_figure(report, table)
        if figure is not None:
            written += save(figure, out, f"{name} {table.table.place}")
    for outcome in report.reproduction.outcomes:
        models = dict.fromkeys(record.model for record in outcome.records)
        for what, model in product(outcome.run.figures, models):
            try:
                written += plot(report.reproduction.store, what, out / "figures", model=model)
            except UsageError as error:  # cells failed, and the tables say why
                log.warning("the figure %r of run %s is left out: %s", what, outcome.run.name, error)
    return list(dict.fromkeys(written))


def _as_text(report: PaperReport, table: ComparedTable) -> str:
    """The picture of a table as a page holds it, empty where there is none."""
    figure = comparison_figure(report, table)
    return "" if figure is None else base64.b64encode(picture_bytes(figure, ".svg")).decode()
