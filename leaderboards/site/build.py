"""`flowgauge leaderboard build`: the pages of a board, which open from disk and ask nothing of any server. No torch."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from ...benchmark.external.folder_format import is_outside
from ...benchmark.store.record import Record
from ...benchmark.store.results import table as long_table
from ...core.errors import UsageError
from ..comparison.method_comparison import pairs_table
from ..comparison.operator_sensitivity import panel_table
from ..comparison.paired_tests import letter
from ..comparison.standings import ModelBoard, TaskBoard, fields_of, model_boards
from ..export.sheets import (
    Sheet,
    beats_sheet,
    by_method,
    left_out_sheet,
    matrix,
    method_sheet,
    overall_sheet,
    overall_table,
    ranked,
    save,
    standing_sheet,
    standing_table,
    tasks_sheet,
)
from ..figures.style import settings
from ..submission.board_reader import BoardReader, open_shelf
from ..submission.trust import TRUST
from . import formatting as views
from .instances import InstanceBrowser, browse
from .method_docs import MethodDescription, about, about_outside
from .page_names import Names

INSTANCES = 60
"""Instances of each task in the browser, unless asked otherwise."""
EXAMPLES = 3
"""Most drawings on a method's page, each of another task."""


@dataclass(frozen=True)
class BuiltSite:
    """What was written.

    Attributes:
        index: The first page.
        pages: How many pages.
        bytes: Of all files.
    """

    index: Path
    pages: int
    bytes: int


@dataclass(frozen=True, eq=False)
class MethodPage:
    """A method over all its cells.

    Attributes:
        name: Plain name.
        cells: Its records with the field they stand in and their label there.
    """

    name: str
    cells: tuple[tuple[TaskBoard, str, Record], ...]

    @property
    def about(self) -> MethodDescription:
        """What is known of it."""
        record = self.cells[0][2]
        return about_outside(record) if is_outside(record) else about(self.name)

    @property
    def settings(self) -> list[tuple[str, str]]:
        """Each set of settings it was run with."""
        return list(
            dict.fromkeys(
                (views.words(r.settings), f"version {r.key.get('method', {}).get('version', '?')}") for _, _, r in self.cells
            )
        )


def build(urls: Sequence[str], out: str | Path, title: str = "flowgauge leaderboard", instances: int = INSTANCES) -> BuiltSite:
    """Writes the site of one or several stores.

    Args:
        urls: Folders or fsspec URLs of results.
        out: Folder for the site; made, or a site of before is replaced.
        title: Of the board.
        instances: Instances of each task in the browser; 0: none.

    Raises:
        UsageError: A store is missing or empty, `out` holds something else, or the packages for charts are not installed.
    """
    for package in ("altair", "vl_convert"):
        if find_spec(package) is None:
            raise UsageError(f"a site's charts need {package}: pip install 'flowgauge[site]'.")
    shelf = open_shelf(urls)
    folder = _empty(Path(out))
    site = _Site(shelf, folder, title)
    site.write(instances)
    found = [path for path in folder.rglob("*") if path.is_file()]
    return BuiltSite(folder / "index.html", sum(p.suffix == ".html" for p in found), sum(p.stat().st_size for p in found))


def _empty(folder: Path) -> Path:
    """The folder, without the site that was in it.

    Raises:
        UsageError: It is a file, or holds something that is no site.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "assets" / "site.js").is_file())):
        raise UsageError(f"{folder} is there already and is no site: choose another --out.")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror or error}; choose another --out.") from error
    return folder


class _Site:
    """One site while it is written."""

    def __init__(self, shelf: BoardReader, folder: Path, title: str) -> None:
        self.shelf, self.folder = shelf, folder
        self.fields = fields_of(shelf)
        self.boards = model_boards(self.fields)
        self.names = {kind: Names() for kind in ("tasks", "methods", "instances", "data", "charts", "figures")}
        self.browsed: dict[int, InstanceBrowser] = {}
        self.pages = Environment(
            loader=PackageLoader("flowgauge.leaderboards.site"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.pages.filters |= {"num": views.number, "cost": views.seconds, "bytes": views.size, "coded": views.coded}
        self.pages.globals |= {
            "title": title, "trust_means": views.TRUST_MEANS, "trust_levels": TRUST, "task_page": self.task_page,
            "method_page": self.method_page, "instance_page": self.instance_page, "bare": self.bare,
            "whisker": views.whisker, "letter": letter,
        }  # fmt: skip

    def task_page(self, field: TaskBoard) -> str:
        """Address of a group's page."""
        return f"tasks/{self.names['tasks'].of(field.group.model, field.group.task, field.group.note)}.html"

    def method_page(self, name: str) -> str:
        """Address of a method's page."""
        return f"methods/{self.names['methods'].of(name)}.html"

    def instance_page(self, field: TaskBoard) -> str:
        """Address of a group's browser, empty where it has none."""
        if id(field) not in self.browsed:
            return ""
        return f"instances/{self.names['instances'].of(field.group.model, field.group.task, field.group.note)}.html"

    def bare(self, field: TaskBoard) -> bool:
        """Whether its records list explanations of which the stores keep none."""
        listed = any(name.startswith("explanations/") for record in field.group.records for name in record.files)
        return listed and id(field) not in self.browsed

    def write(self, instances: int) -> None:
        """Everything."""
        self._assets()
        for field in self.fields:
            found = browse(self.shelf, field.group, field.first.side.metric if field.first else "", instances)
            if found.sentences:
                self.browsed[id(field)] = found
        downloads = self._downloads()
        for field in self.fields:
            self._page(self.task_page(field), "task.html", field=field, matrix=matrix, files=self._tables(field))
            if id(field) in self.browsed:
                data = self.browsed[id(field)].as_data()
                for instance in data["instances"]:
                    for one in instance["methods"]:
                        one["page"] = self.method_page(one["method"])
                self._page(self.instance_page(field), "instances.html", field=field, browsed=self.browsed[id(field)], data=data)
        for method in self._methods():
            self._page(
                self.method_page(method.name), "method.html", method=method, about=method.about,
                examples=self._examples(method), ranked=ranked, trust=self.shelf.trust,
                files=self._files(method_sheet(method.name, method.cells, self.shelf.trust), f"method {method.name}"),
            )  # fmt: skip
        charts = [self._charts(board) for board in self.boards]
        self._page("index.html", "index.html", boards=list(zip(self.boards, charts, strict=True)), downloads=downloads,
                   weights=views.weights,
                   cells=len(self.shelf.records), method_count=len({r.method for r in self.shelf.records}))  # fmt: skip

    def _page(self, address: str, template: str, **values: Any) -> None:
        root = "../" * address.count("/")
        path = self.folder / address
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.pages.get_template(template).render(root=root, **values), encoding="utf-8")

    def _assets(self) -> None:
        home, target = files("flowgauge.leaderboards.site") / "static", self.folder / "assets"
        target.mkdir()
        for entry in [*home.iterdir(), *(home / "vendor").iterdir()]:
            if entry.is_file():
                (target / entry.name).write_bytes(entry.read_bytes())

    def _methods(self) -> list[MethodPage]:
        return [MethodPage(name, tuple(cells)) for name, cells in by_method(self.fields).items()]

    def _tables(self, field: TaskBoard) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
        """Addresses of every table of a page and of its matrix, by metric."""
        return {
            metric: (
                self._files(standing_sheet(standing), standing.key + field.group.note),
                self._files(beats_sheet(standing), f"{standing.key}{field.group.note} beats"),
            )
            for metric, standing in field.standings.items()
        }

    def _files(self, sheet: Sheet, key: str) -> dict[str, str]:
        """Address of a table in every format."""
        (self.folder / "data").mkdir(exist_ok=True)
        paths = save(sheet, self.folder / "data" / self.names["data"].of(key))
        return {format: f"data/{path.name}" for format, path in paths.items()}

    def _downloads(self) -> list[tuple[str, str, int]]:
        """What it is, address and bytes of the downloads of everything."""
        target = self.folder / "data"
        target.mkdir(exist_ok=True)
        trust = pd.Series({(r.model, r.task, r.cell): self.shelf.trust(r) for r in self.shelf.records})
        cells = long_table(self.shelf.records)
        cells["trust"] = [trust[key] for key in zip(cells["model"], cells["task"], cells["cell"], strict=True)]
        standings = [s for field in self.fields for s in field.standings.values()]
        ranks = pd.concat([standing_table(s) for s in standings]) if standings else pd.DataFrame()
        frames = {
            "results": cells,
            "ranks": ranks,
            "pairs": pairs_table([s.side for s in standings], words=False),
            "overall": self._overall(),
        }
        operators = [panel_table(field.group, panel) for field in self.fields for panel in field.panels]
        if operators:
            frames["operators"] = pd.concat(operators)
        what = {
            "results": "every stored aggregate",
            "ranks": "every ranked table",
            "pairs": "every pair of methods",
            "overall": "overall ranks",
            "operators": "means and ranks under each ablation operator",
        }
        made = []
        for name, frame in frames.items():
            frame.to_csv(target / f"{name}.csv", index=False)
            frame.to_parquet(target / f"{name}.parquet", index=False)
            frame.to_json(target / f"{name}.json", orient="records", indent=None)
            made += [
                (what[name], f"data/{name}.{end}", (target / f"{name}.{end}").stat().st_size)
                for end in ("csv", "parquet", "json")
            ]
        return made

    def _overall(self) -> pd.DataFrame:
        return pd.concat([overall_table(board) for board in self.boards])

    def _charts(self, board: ModelBoard) -> dict[str, Any]:
        """Specifications of a model's charts with the addresses of their files, and those of the tables beside them."""
        from .charts import cost_chart, difference_chart, draw

        sheets = {
            "files": overall_sheet(board) if board.overall.methods else None,
            "tasks": tasks_sheet(board),
            **{by: left_out_sheet(board, by) for by in ("task", "metric", "operator")},
        }
        names = {"files": "overall", "task": "without task", "metric": "without metric", "operator": "under operator"}
        found: dict[str, Any] = {
            kind: self._files(sheet, f"{names.get(kind, kind)} {board.model}") if sheet else {} for kind, sheet in sheets.items()
        }
        for name, make in (("ranks", difference_chart), ("cost", cost_chart)):
            spec = make(board)
            stem = self.names["charts"].of(name, board.model)
            paths = {} if spec is None else draw(spec, self.folder / "charts" / stem)
            found[name] = None if spec is None else (spec, {kind: f"charts/{path.name}" for kind, path in paths.items()})
        return found

    def _examples(self, method: MethodPage) -> list[tuple[TaskBoard, str, str]]:
        """Field, address and description of drawings of a method, at most one a task."""
        found: list[tuple[TaskBoard, str, str]] = []
        for field, label, _ in method.cells:
            if len(found) == EXAMPLES or field.group.task in {f.group.task for f, _, _ in found} or id(field) not in self.browsed:
                continue
            with settings():
                figure = self.browsed[id(field)].example(label)
                if figure is None:
                    continue
                address = f"figures/{self.names['figures'].of(method.name, field.group.model, field.group.task)}.svg"
                (self.folder / "figures").mkdir(exist_ok=True)
                data = io.BytesIO()
                figure.savefig(data, format="svg", metadata={"Date": None, "Creator": "flowgauge"})
            (self.folder / address).write_bytes(data.getvalue())
            found.append((field, address, f"{label} on an instance of {field.group.task}, {field.group.model}"))
        return found
