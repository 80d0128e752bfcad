"""`flowgauge leaderboard build|export`."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

Stores = Annotated[list[str], typer.Argument(metavar="STORE...", help="Folders or fsspec URLs of results, read as one board.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and log messages.")]


class TableFormat(StrEnum):
    """What a table is written as."""

    latex = "latex"
    markdown = "markdown"
    csv = "csv"
    json = "json"


def add_to(app: typer.Typer, reporting: Callable[[bool], Any]) -> None:
    """Adds the commands; `reporting` turns errors into lines and exit codes."""

    @app.command()
    def build(
        stores: Stores,
        out: Annotated[Path, typer.Option(help="Folder for the site; a site that is there is replaced.")] = Path("site"),
        title: Annotated[str, typer.Option(help="Of the board.")] = "flowgauge leaderboard",
        instances: Annotated[int, typer.Option(min=0, help="Instances of each task in the browser of sentences.")] = 60,
        debug: Debug = False,
    ) -> None:
        """Build a static site that opens from disk: ranked tables, charts, methods, sentences, downloads."""
        with reporting(debug):
            from .leaderboards.site.build import build as write

            made = write(stores, out, title, instances)
            typer.echo(f"{made.index}: {made.pages} pages, {made.bytes / 2**20:.1f} MiB")

    @app.command()
    def export(
        stores: Stores,
        table: Annotated[
            str, typer.Option(help="overall, tasks, a task, task:metric, method:name, ...; an unknown name lists them.")
        ] = "overall",
        format: Annotated[TableFormat, typer.Option(help="Of the table.")] = TableFormat.markdown,
        model: Annotated[str | None, typer.Option("--model", "-m", help="Which, where the board has several.")] = None,
        debug: Debug = False,
    ) -> None:
        """Print a table of the board for a paper or a README."""
        with reporting(debug):
            from .leaderboards.export.sheets import export as written

            typer.echo(written(stores, table, format.value, model))
