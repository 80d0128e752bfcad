"""`flowgauge leaderboard build`, `export`, `publish`, `ledger`, `check`, `order` and others: what is done with a board."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.errors import UsageError, printable
from .console import report_renewal, reporting
from .options import BoardUrl, Debug, Device, MoreMetrics, MovedModel, RequiredWhy, StoreUrl, StoreUrls, VerifierDataDir, Who, Why


class ExportFormat(StrEnum):
    """What `export` writes: tables, which are printed, and the formats of other projects, which are files."""

    markdown = "markdown"
    latex = "latex"
    csv = "csv"
    json = "json"
    every_eval_ever = "every-eval-ever"
    hub = "hub"


TABLES = ("markdown", "latex", "csv", "json")
EXPORT_OPTIONS = {
    "table": TABLES,
    "model": (*TABLES, "hub"),
    "out": ("every-eval-ever", "hub"),
    "name": ("every-eval-ever",),
    "dataset": ("hub",),
    "source": ("hub",),
}
"""The formats that each option of `export` goes with."""
Dataset = Annotated[str | None, typer.Option(help="For hub: the id of the benchmark's dataset on the Hub, OWNER/NAME.")]
BoardLink = Annotated[str | None, typer.Option("--source", help="For hub: a link to the board.")]
Evaluator = Annotated[
    str | None, typer.Option("--name", show_default="flowgauge user", help="For every-eval-ever: who evaluated.")
]


def build(
    stores: StoreUrls,
    out: Annotated[
        Path, typer.Option(help="Folder for the site; a site that is there is replaced, and other files stay.")
    ] = Path("site"),
    title: Annotated[str, typer.Option(help="Title of the board.")] = "flowgauge leaderboard",
    instances: Annotated[int, typer.Option(min=0, help="Instances of each task whose explanations can be browsed.")] = 60,
    report_cards: Annotated[
        Path | None,
        typer.Option(show_default="no such page", help="Adds a page of metrics, from the JSON that `report-card --out` wrote."),
    ] = None,
    paper: Annotated[
        list[Path] | None,
        typer.Option(
            show_default="no such page", help="Adds a page of papers, from the JSON that `reproduce --out` wrote; repeatable."
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Build a static site that opens from disk: ranked tables, charts, methods, explained instances, downloads."""
    with reporting(debug):
        from ..leaderboards.site.build import build as build_site

        site = build_site(stores, out, title, instances, report_cards, paper or ())
        typer.echo(f"{site.index}: {site.pages} pages, {site.bytes / 2**20:.1f} MiB")


def export(
    stores: StoreUrls,
    table: Annotated[
        str | None,
        typer.Option(
            show_default="overall",
            help="overall, tasks, without-task, without-metric, a task, TASK:METRIC, TASK:METRIC:beats or method:NAME.",
        ),
    ] = None,
    format: Annotated[
        ExportFormat,
        typer.Option(
            help="How a table is printed; or every-eval-ever (JSON for Every Eval Ever) and hub (YAML for the Hugging Face Hub's "
            "evaluation results), which write all results into --out."
        ),
    ] = ExportFormat.markdown,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="The model, where the results are of several models; not for every-eval-ever."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="For every-eval-ever and hub: the folder to write into.")] = None,
    name: Evaluator = None,
    dataset: Dataset = None,
    source: BoardLink = None,
    debug: Debug = False,
) -> None:
    """Print a table of the board for a paper or a README, or write its results in the format of another project."""
    with reporting(debug):
        options = {"table": table, "model": model, "out": out, "name": name, "dataset": dataset, "source": source}
        _check_export_options(format.value, options)
        if format.value in TABLES:
            from ..leaderboards.export.sheets import export as table_of

            table_format: Any = format.value
            typer.echo(table_of(stores, table or "overall", table_format, model))
            return
        if out is None or len(stores) > 1:
            raise UsageError(f"--format {format.value} writes the results of one STORE into the folder --out: name one of each.")
        _write_exchange(format.value, stores[0], out, name, dataset, model, source)


def _check_export_options(format: str, options: dict[str, Any]) -> None:
    """Refuses an option that the format would ignore.

    Raises:
        UsageError: Such an option; the text names the formats it is for.
    """
    for name, value in options.items():
        if value is not None and format not in EXPORT_OPTIONS[name]:
            raise UsageError(f"--{name} does not go with --format {format}; it is for {', '.join(EXPORT_OPTIONS[name])}.")


def exchange(
    store: StoreUrl,
    out: Annotated[Path, typer.Option(help="Folder to write into.")],
    name: Evaluator = None,
    dataset: Dataset = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="For hub: only this model.")] = None,
    source: BoardLink = None,
    debug: Debug = False,
) -> None:
    """The former name of `export --format every-eval-ever` and, with --dataset, of `export --format hub`."""
    with reporting(debug):
        _write_exchange("hub" if dataset else "every-eval-ever", store, out, name, dataset, model, source)


def _write_exchange(
    format: str,
    store: str,
    out: Path,
    name: str | None,
    dataset: str | None,
    model: str | None,
    source: str | None,
) -> None:
    """Writes a store's results in the format of another project and prints the names of the files."""
    from ..leaderboards.export.other_formats import write_exchange

    evaluator = {"organization": name} if name is not None else {}
    for path in write_exchange(format, store, out, dataset=dataset or "", model=model, source_url=source or "", **evaluator):
        typer.echo(str(path))


def publish(
    site: Annotated[Path, typer.Argument(metavar="SITE", help="The folder that `leaderboard build` wrote.")],
    url: Annotated[
        str, typer.Argument(metavar="URL", help="Where to: a folder, s3://BUCKET/PREFIX, hf://datasets/OWNER/NAME, ...")
    ],
    debug: Debug = False,
) -> None:
    """Copy a built site to a folder or to any target that fsspec writes to."""
    with reporting(debug):
        from ..leaderboards.submission.board import publish as copy_site

        typer.echo(f"{copy_site(site, url)} files at {url}")


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder, or an empty repository.")],
    title: Annotated[str, typer.Option(help="Title of the board.")],
    package: Annotated[
        str | None,
        typer.Option(
            show_default="this version of flowgauge", help="What pip installs in the repository's continuous integration."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A model that does not come with flowgauge, on which submissions are recomputed."),
    ] = None,
    rerun: Annotated[
        int, typer.Option(min=0, help="Instances of each cell on which the method is run again, for the level re-run.")
    ] = 2,
    explanations: Annotated[int, typer.Option(min=0, help="Instances of each cell whose explanations the board keeps.")] = 4,
    debug: Debug = False,
) -> None:
    """Write the repository of a board that others submit to: instructions, and what verifies, comments and publishes.

    A pull request adds a bundle. ci/review verifies it and says where its methods would stand; ci/accept adds it to the board and
    builds the pages. Workflows for GitHub call these two scripts.
    """
    with reporting(debug):
        from ..leaderboards.board_repository.init import init_board

        for path in init_board(folder, title, package, model, rerun, explanations):
            typer.echo(str(path))


def ledger(board: BoardUrl, debug: Debug = False) -> None:
    """Show the history of a board: cells that entered, were withdrawn, rescored or run again, and committed seeds."""
    with reporting(debug):
        from ..benchmark.store.store import Store
        from ..leaderboards.submission.ledger import ledger_head, read_ledger

        events = read_ledger(Store(board))
        if not events:
            raise UsageError(f"{board!r} has no ledger: `flowgauge leaderboard merge BUNDLE {board}` starts one.")
        for event in events:
            who, why = f" by {event.who}" if event.who else "", f": {event.why}" if event.why else ""
            what = [event.action, event.secret or event.commitment or (event.trust if event.cells else "")]
            typer.echo(printable(f"{event.when}  {', '.join(filter(None, what))}{who}{why}"))
            for cell in event.cells:
                typer.echo(printable(f"    {cell}"))
            for instances, metrics in event.order.items():
                typer.echo(printable(f"    {instances}: {', '.join(metrics)}"))
        typer.echo(f"head {ledger_head(Store(board))}")


def check(
    board: BoardUrl,
    head: Annotated[
        str | None, typer.Option(help="A head of the ledger that you kept, EVENTS:SHA256, as this command prints it.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Hold every file of a board against its ledger; the exit code is 1 if something differs.

    The head that is printed stands for the whole history. Keep it elsewhere: whoever can write the board can also cut its ledger,
    and only a head that was kept shows that.
    """
    with reporting(debug):
        from ..leaderboards.submission.check_board import check_board
        from ..leaderboards.submission.ledger import LedgerHead

        checked = check_board(board, None if head is None else LedgerHead.parse(head))
        for problem in checked.problems:
            typer.echo(printable(problem))
        if checked.uncovered:
            typer.echo(
                f"note: the ledger has no sums of {len(checked.uncovered)} cells, first {printable(checked.uncovered[0])}: "
                f"changes of their records go unnoticed; `flowgauge leaderboard note-sums {board}` notes the sums."
            )
        typer.echo(f"{checked.files} files, {len(checked.problems)} problems, head {checked.head}")
    raise typer.Exit(1 if checked.problems else 0)


def note_sums(board: BoardUrl, why: RequiredWhy, name: Who = "", debug: Debug = False) -> None:
    """Note the checksums of cells that entered with flowgauge 0.1 in a board's ledger, so that `check` covers them."""
    with reporting(debug):
        from ..leaderboards.submission.check_board import note_sums as note

        typer.echo(f"the sums of {sum(len(event.cells) for event in note(board, why, name))} cells are in the ledger of {board}")


def order(
    board: BoardUrl,
    why: RequiredWhy,
    metric: Annotated[
        list[str] | None, typer.Option(show_default="those that order it now", help="A metric that orders the board; repeatable.")
    ] = None,
    task: Annotated[list[str] | None, typer.Option("--task", "-t", help="Only these tasks; repeatable.")] = None,
    name: Who = "",
    debug: Debug = False,
) -> None:
    """State in the ledger which metrics order a board, whatever enters later; who lacks one of them is unranked there."""
    with reporting(debug):
        from ..leaderboards.comparison.board_order import state_order

        for instances, metrics in state_order(board, metric or (), task or (), why=why, who=name).order.items():
            typer.echo(printable(f"{instances}: {', '.join(metrics)}"))


def rescore(
    board: BoardUrl,
    metric: MoreMetrics = None,
    why: Why = "",
    name: Who = "",
    model: MovedModel = None,
    data_dir: VerifierDataDir = None,
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Score every cell of a board with a metric that is new or was corrected; without one, replace intervals of version 0.1."""
    with reporting(debug, continues=True):
        from ..leaderboards.submission.renew_board import renew_board

        renewal = renew_board(board, why, name)
        if renewal.cells or not metric:
            report_renewal(renewal, f"flowgauge leaderboard rescore {board}")
        if not metric:
            return
        from ..benchmark.engine.rescore import rescore as rescore_store
        from ..leaderboards.submission.board import rescored

        results = rescore_store(board, metric, model=model, data_dir=data_dir, device=device, quiet=False)
        events = rescored(board, results.records, why or ", ".join(metric))
        for record in results.records:
            if record.status != "done":
                typer.echo(f"{record.model}/{record.task}/{record.folder}: {record.error}", err=True)
        typer.echo(f"{sum(len(event.cells) for event in events)} cells scored again")
    raise typer.Exit(results.exit_code)


def withdraw(
    board: BoardUrl,
    cell: Annotated[
        list[str], typer.Option(help="MODEL/TASK/METHOD-<12 hex digits>, or a pattern such as '*/sva/obj/*'; repeatable.")
    ],
    why: RequiredWhy,
    name: Who = "",
    debug: Debug = False,
) -> None:
    """Remove cells from a board; the ledger keeps their names and the reason."""
    with reporting(debug):
        from ..leaderboards.submission.board import withdraw as remove

        typer.echo(f"{len(remove(board, cell, why, name).cells)} cells withdrawn from {board}")
