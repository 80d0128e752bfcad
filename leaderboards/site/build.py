"""`flowgauge leaderboard build`: writes the pages of a board, which open from disk and request nothing from any server."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from ...benchmark.store.record import Record
from ...benchmark.store.results import table as long_table
from ...core.errors import UsageError, how_to_install
from ..comparison.method_comparison import pairs_table
from ..comparison.model_boards import ModelBoard, further_orders, model_boards
from ..comparison.operator_sensitivity import panel_table
from ..comparison.task_boards import TaskBoard, read_task_boards
from ..export import sheets
from ..figures.style import fit_fonts, settings
from ..report_cards.card_file import read_cards
from ..report_cards.cards import ReportCards
from ..report_cards.heat_map import correlation_figure
from ..report_cards.pages import LEGEND, correlation_table, notes
from ..reproduction.report_file import StoredReport, read_report
from ..reproduction.verdict import WORDS
from ..stored.comparable_cells import note_lines, trained_once
from ..submission.board_reader import BoardReader, open_board
from ..submission.trust import TRUST
from . import formatting
from .instances import InstanceBrowser, browse
from .method_docs import describe_method
from .metric_cards import anchor_of, card_rows, cards_sheet
from .pairs import paired_scores
from .papers import measured_tables, paper_sheet
from .site_folder import site_folder
from .summary import compare_models, summarise_board

INSTANCES = 60
"""The default number of instances of each task on the page of its instances."""
EXAMPLES = 3
"""The largest number of drawings on a method's page, each of another task."""


@dataclass(frozen=True)
class BuiltSite:
    """A summary of the files of a built site.

    Attributes:
        index: Path of the first page.
        pages: The number of pages.
        bytes: The total size of all files.
    """

    index: Path
    pages: int
    bytes: int


@dataclass(frozen=True, eq=False)
class MethodPage:
    """A method with all its cells.

    Attributes:
        name: The plain name of the method.
        cells: Its records, each with the board of its task and its label there.
    """

    name: str
    cells: tuple[tuple[TaskBoard, str, Record], ...]

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Every combination of settings that the method was run with, as one line each, and the version of the method."""
        return list(
            dict.fromkeys(
                (formatting.settings_line(r.settings), f"version {r.key.get('method', {}).get('version', '?')}")
                for _, _, r in self.cells
            )
        )


def build(
    urls: Sequence[str],
    out: str | Path,
    title: str = "flowgauge leaderboard",
    instances: int = INSTANCES,
    report_cards: Path | None = None,
    papers: Sequence[Path] = (),
) -> BuiltSite:
    """Writes the site of one or several stores.

    Args:
        urls: Folders or fsspec URLs of results.
        out: The folder of the site; it is created, or the site that is in it is replaced, and other files in it stay.
        title: The title of the board.
        instances: The number of instances of each task whose explanations can be browsed; 0 for none.
        report_cards: The file of report cards of metrics that `flowgauge report-card --out` wrote; None: no page of them.
        papers: Files of papers that `flowgauge reproduce --out` wrote; none: no page of them.

    Raises:
        UsageError: A store is missing or empty, a file of report cards or of a paper is none, two files are of one paper, `out`
            holds something other than a site, or the packages for charts are missing.
    """
    for package in ("altair", "vl_convert"):
        if find_spec(package) is None:
            raise UsageError(f"the charts of a site need the package {package}: {how_to_install('site')}.")
    reader = open_board(urls)
    cards = None if report_cards is None else read_cards(report_cards)
    reports = tuple(read_report(path) for path in papers)
    names = [report.paper for report in reports]
    for path, name in zip(papers, names, strict=True):
        if names.count(name) > 1:
            raise UsageError(f"{path} is one of {names.count(name)} files of the paper {name}: name one with --paper.")
    with site_folder(out) as folder:
        _SiteWriter(reader, folder, title, cards, reports).write(instances)
        sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return BuiltSite(Path(out) / "index.html", sum(path.suffix == ".html" for path in sizes), sum(sizes.values()))


class _SiteWriter:
    """Writes the pages and files of one site."""

    def __init__(
        self, reader: BoardReader, folder: Path, title: str, cards: ReportCards | None, reports: Sequence[StoredReport]
    ) -> None:
        self.reader, self.folder, self.cards, self.reports = reader, folder, cards, reports
        self.card_rows = () if cards is None else card_rows(cards)
        self.task_boards = read_task_boards(reader)
        self.boards = model_boards(self.task_boards)
        self.names = {
            kind: formatting.PageNames()
            for kind in ("tasks", "methods", "instances", "pairs", "data", "charts", "figures", "anchors")
        }
        self.browsed: dict[int, InstanceBrowser] = {}
        self.pages = Environment(
            loader=PackageLoader("flowgauge.leaderboards.site"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.pages.filters |= {
            "num": formatting.number,
            "cost": formatting.seconds,
            "bytes": formatting.size,
            "coded": formatting.coded,
            "ranked_labels": lambda board: [board.methods[i] for i in board.best_first],
        }
        self.pages.globals |= {
            "title": title, "trust_means": formatting.TRUST_MEANS, "trust_levels": TRUST, "task_page": self.task_page,
            "method_page": self.method_page, "instance_page": self.instance_page, "lacks_explanations": self.lacks_explanations,
            "whisker": formatting.whisker, "note_lines": note_lines, "trained_once": trained_once,
            "summarise_board": summarise_board, "compare_models": compare_models,
            "anchor": self.names["anchors"].of, "card_page": self.card_page, "has_cards": cards is not None,
            "has_papers": bool(reports),
        }  # fmt: skip

    def task_page(self, task_board: TaskBoard, kind: str = "tasks") -> str:
        """Address of the page of a task, or of a page of another kind about it."""
        group = task_board.group
        return f"{kind}/{self.names[kind].of(group.model, group.task, group.note)}.html"

    def method_page(self, name: str) -> str:
        """Address of the page of a method."""
        return f"methods/{self.names['methods'].of(name)}.html"

    def instance_page(self, task_board: TaskBoard) -> str:
        """Address of the page of a task's instances; empty where there is none."""
        return self.task_page(task_board, "instances") if id(task_board) in self.browsed else ""

    def card_page(self, task_board: TaskBoard, metric: str) -> str:
        """Address of a metric's report card; empty where there is none."""
        scores = (score for record in task_board.group.records for score in record.scores.values() if score.name == metric)
        score = next(scores, None)
        return "" if score is None else anchor_of(self.card_rows, metric, score.settings)

    def lacks_explanations(self, task_board: TaskBoard) -> bool:
        """Whether the records of a task list explanations, but the stores keep none of them."""
        listed = any(name.startswith("explanations/") for record in task_board.group.records for name in record.files)
        return listed and id(task_board) not in self.browsed

    def write(self, instances: int) -> None:
        """Writes all pages and files, with at most so many instances of each task."""
        self._assets()
        for task_board in self.task_boards:
            browser = browse(
                self.reader, task_board.group, task_board.first.comparison.metric if task_board.first else "", instances
            )
            if browser.sentences:
                self.browsed[id(task_board)] = browser
        downloads = self._downloads()
        for task_board in self.task_boards:
            self._page(
                self.task_page(task_board),
                "task.html",
                task_board=task_board,
                matrix=sheets.matrix,
                files=self._tables(task_board),
            )
            browsed = self.browsed.get(id(task_board))
            data = None if browsed is None else browsed.as_data()
            if task_board.tables:
                paired = paired_scores(task_board, data)
                self._page(self.task_page(task_board, "pairs"), "pair.html", task_board=task_board, data=paired)
            if data is not None:
                for method in (method for instance in data["instances"] for method in instance["methods"]):
                    method["page"] = self.method_page(method["method"])
                address = self.instance_page(task_board)
                self._page(address, "instances.html", task_board=task_board, browsed=browsed, data=data)
        for name, cells in sheets.cells_by_method(self.task_boards).items():
            page = MethodPage(name, tuple(cells))
            self._page(
                self.method_page(name), "method.html", method=page, description=describe_method(cells[0][2]),
                examples=self._examples(page), ranked=sheets.ranked, trust=self.reader.trust,
                files=self._files(sheets.method_sheet(name, cells, self.reader.trust), f"method {name}"),
            )  # fmt: skip
        self._write_cards()
        self._write_papers()
        charts = [self._charts(board) for board in self.boards]
        further = {
            board.model: [
                (name, other, self._files(sheets.overall_sheet(other), f"overall {board.model} {name}"))
                for name, other in further_orders(board).items()
            ]
            for board in self.boards
        }
        self._page(
            "index.html", "index.html", further=further, boards=list(zip(self.boards, charts, strict=True)),
            downloads=downloads, weights=formatting.weights, heads=self.reader.heads, cells=len(self.reader.records),
            method_count=len({r.method for r in self.reader.records}),
        )  # fmt: skip

    def _write_cards(self) -> None:
        """Writes the page of the metrics' report cards, where there are some."""
        if self.cards is None:
            return
        figure = correlation_figure(correlation_table(self.cards.cards))
        drawn = self._figure(figure, self.names["figures"].of("metric correlations"))
        self._page(
            "metrics.html", "metrics.html", cards=self.cards, rows=self.card_rows, legend=LEGEND, drawn=drawn,
            notes=list(notes(self.cards.cards)), files=self._files(cards_sheet(self.cards), "metric report cards"),
        )  # fmt: skip

    def _write_papers(self) -> None:
        """Writes the page of the papers that were measured again, where there are some."""
        if self.reports:
            files = {report.paper: self._files(paper_sheet(report), f"paper {report.paper}") for report in self.reports}
            self._page(
                "papers.html", "papers.html", reports=self.reports, words=WORDS, measured_tables=measured_tables, files=files
            )

    def _page(self, address: str, template: str, **values: Any) -> None:
        """Writes a page from a template; `root` leads from the page back to the folder of the site."""
        root = "../" * address.count("/")
        path = self.folder / address
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.pages.get_template(template).render(root=root, **values), encoding="utf-8")

    def _assets(self) -> None:
        """Copies scripts and styles into the site."""
        home, target = files("flowgauge.leaderboards.site") / "static", self.folder / "assets"
        target.mkdir()
        for entry in [*home.iterdir(), *(home / "vendor").iterdir()]:
            if entry.is_file():
                (target / entry.name).write_bytes(entry.read_bytes())

    def _tables(self, task_board: TaskBoard) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
        """Addresses of the table and of the matrix of P(A beats B) in every format, by metric."""
        return {
            metric: (
                self._files(sheets.standing_sheet(standing), standing.key + task_board.group.note),
                self._files(sheets.beats_sheet(standing), f"{standing.key}{task_board.group.note} beats"),
            )
            for metric, standing in task_board.tables.items()
        }

    def _files(self, sheet: sheets.Sheet, key: str) -> dict[str, str]:
        """Writes a table in every format and returns its addresses."""
        (self.folder / "data").mkdir(exist_ok=True)
        paths = sheets.save(sheet, self.folder / "data" / self.names["data"].of(key))
        return {format: f"data/{path.name}" for format, path in paths.items()}

    def _downloads(self) -> list[tuple[str, str, int]]:
        """Writes the tables that hold everything; returns a description, the address and the bytes of each file."""
        target = self.folder / "data"
        target.mkdir(exist_ok=True)
        trust = {(r.model, r.task, r.cell): self.reader.trust(r) for r in self.reader.records}
        cells = long_table(self.reader.records)
        cells["trust"] = [trust[key] for key in zip(cells["model"], cells["task"], cells["cell"], strict=True)]
        tables = [table for task_board in self.task_boards for table in task_board.tables.values()]
        ranks = pd.concat([sheets.standing_table(table) for table in tables]) if tables else pd.DataFrame()
        frames = {
            "results": ("all stored aggregates", cells),
            "ranks": ("all ranked tables", ranks),
            "pairs": ("all pairs of methods", pairs_table([table.comparison for table in tables], words=False)),
            "overall": ("overall ranks", pd.concat([sheets.overall_table(board) for board in self.boards])),
        }
        operators = [panel_table(task_board.group, panel) for task_board in self.task_boards for panel in task_board.panels]
        if operators:
            frames["operators"] = "means and ranks under each ablation operator", pd.concat(operators)
        downloads = []
        for name, (what, frame) in frames.items():
            frame.to_csv(target / f"{name}.csv", index=False)
            frame.to_parquet(target / f"{name}.parquet", index=False)
            frame.to_json(target / f"{name}.json", orient="records", indent=None)
            names = [f"{name}.{end}" for end in ("csv", "parquet", "json")]
            downloads += [(what, f"data/{name}", (target / name).stat().st_size) for name in names]
        return downloads

    def _charts(self, board: ModelBoard) -> dict[str, Any]:
        """Writes the charts of a model and the tables beside them.

        Returns:
            The addresses of each table, and for `ranks` and `cost` the chart's specification with the addresses of its files.
        """
        from .charts import cost_chart, rank_chart, write_chart

        tables = {
            "files": sheets.overall_sheet(board) if board.methods else None,
            "tasks": sheets.tasks_sheet(board),
            **{by: sheets.left_out_sheet(board, by) for by in ("task", "metric", "operator")},
        }
        names = {"files": "overall", "task": "without task", "metric": "without metric", "operator": "under operator"}
        charts: dict[str, Any] = {
            kind: self._files(sheet, f"{names.get(kind, kind)} {board.model}") if sheet else {} for kind, sheet in tables.items()
        }
        for name, chart in (("ranks", rank_chart), ("cost", cost_chart)):
            spec = chart(board)
            stem = self.names["charts"].of(name, board.model)
            paths = {} if spec is None else write_chart(spec, self.folder / "charts" / stem)
            charts[name] = None if spec is None else (spec, {kind: f"charts/{path.name}" for kind, path in paths.items()})
        return charts

    def _examples(self, method: MethodPage) -> list[tuple[TaskBoard, str, str]]:
        """Draws examples of a method, at most one for each task; returns the board, address and description of each."""
        drawn: list[tuple[TaskBoard, str, str]] = []
        for task_board, label, _ in method.cells:
            if (
                len(drawn) == EXAMPLES
                or task_board.group.task in {f.group.task for f, _, _ in drawn}
                or id(task_board) not in self.browsed
            ):
                continue
            with settings():
                figure = self.browsed[id(task_board)].example(label)
                if figure is None:
                    continue
                address = self._figure(
                    figure, self.names["figures"].of(method.name, task_board.group.model, task_board.group.task)
                )
            drawn.append((task_board, address, f"{label} on an instance of {task_board.group.task}, {task_board.group.model}"))
        return drawn

    def _figure(self, figure: Figure, name: str) -> str:
        """Writes a figure as SVG and returns its address."""
        address = f"figures/{name}.svg"
        (self.folder / "figures").mkdir(exist_ok=True)
        with settings():
            data = io.BytesIO()
            fit_fonts(figure)
            figure.savefig(data, format="svg", metadata={"Date": None, "Creator": "flowgauge"})
        (self.folder / address).write_bytes(data.getvalue())
        return address
