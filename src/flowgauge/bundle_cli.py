"""`flowgauge leaderboard submit|verify|merge|leave|ledger|rescore|publish`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's folder.")]
BoardUrl = Annotated[str, typer.Argument(metavar="BOARD", help="Folder or fsspec URL of the board, a store.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Where you have the model, if not under its name there.")]
DataDir = Annotated[str | None, typer.Option(help="Folder of published data.", envvar="FLOWGAUGE_DATA", show_envvar=False)]
Sample = Annotated[int, typer.Option(min=1, help="Instances of each cell and metric that are recomputed.")]
Form = Annotated[bool, typer.Option("--form-only", help="Check form and consistency alone; recompute nothing.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and log messages.")]


def add_to(app: typer.Typer, reporting: Callable[[bool], Any]) -> None:
    """Adds the commands; `reporting` turns errors into lines and exit codes."""

    @app.command()
    def submit(
        store: Annotated[str, typer.Argument(help="Folder or fsspec URL of results.")],
        out: Annotated[Path, typer.Option(help="Folder to make.")],
        name: Annotated[str, typer.Option(help="Who submits, as the board will show it.")],
        note: Annotated[str, typer.Option(help="A line about it.")] = "",
        task: Annotated[list[str] | None, typer.Option("--task", "-t", help="Only these tasks; repeatable.")] = None,
        method: Annotated[list[str] | None, typer.Option("--method", "-x", help="Only these methods; repeatable.")] = None,
        debug: Debug = False,
    ) -> None:
        """Pack finished cells, with their explanations, into a bundle that others can verify."""
        with reporting(debug):
            from .leaderboards.bundle import pack

            made = pack(store, out, name, note, task or (), method or ())
            size = sum(kept.bytes for kept in made.files.values()) / 2**20
            cells = sum(path.endswith("/record.json") for path in made.files)
            typer.echo(f"{out}: {cells} cells, {len(made.files)} files, {size:.1f} MiB")

    @app.command()
    def verify(
        bundle: BundleFolder,
        model: Model = None,
        data_dir: DataDir = None,
        sample: Sample = 20,
        form_only: Form = False,
        device: Annotated[str, typer.Option(help="A torch device.")] = "auto",
        debug: Debug = False,
    ) -> None:
        """Check a bundle and recompute a sample of its scores on your own copy of model and task; exit code 1 if it fails."""
        with reporting(debug):
            from .leaderboards.verify import verify as check

            checked = check(bundle, None if form_only else _recheck(model, data_dir, device), sample)
            for problem in checked.problems:
                typer.echo(f"{problem.where}: {problem.what}")
            for metric, count in checked.rescored.items():
                typer.echo(f"{metric}: {count} rows recomputed", err=True)
            verdict = (
                f"{len(checked.problems)} problems" if checked.problems else f"{len(checked.records)} cells are {checked.trust}"
            )
            typer.echo(verdict)
        raise typer.Exit(1 if checked.problems else 0)

    @app.command()
    def merge(
        bundle: BundleFolder,
        board: BoardUrl,
        model: Model = None,
        data_dir: DataDir = None,
        sample: Sample = 20,
        form_only: Form = False,
        why: Annotated[str, typer.Option(help="A line for the ledger.")] = "",
        trust: Annotated[str | None, typer.Option(help="Vouch for more than is verified here: re-run or maintained.")] = None,
        explanations: Annotated[
            int | None, typer.Option(min=0, help="Keep those of so many instances a cell. [default: (all)]")
        ] = None,
        device: Annotated[str, typer.Option(help="A torch device.")] = "auto",
        debug: Debug = False,
    ) -> None:
        """Verify a bundle and add its cells to a board."""
        with reporting(debug):
            from .core.errors import UsageError
            from .leaderboards.board import merge as add
            from .leaderboards.verify import TRUST

            if trust is not None and trust not in TRUST:
                raise UsageError(f"no level of trust is called {trust!r}; there are {', '.join(TRUST)}.")
            rescore = None if form_only else _recheck(model, data_dir, device)
            event = add(bundle, board, rescore, sample=sample, why=why, trust=trust, explanations=explanations)
            typer.echo(f"{len(event.cells)} cells entered {board} as {event.trust}")

    @app.command()
    def leave(
        board: BoardUrl,
        cell: Annotated[
            list[str], typer.Option(help="<model>/<task>/<method>-<12 hex>, or a pattern such as '*/sva/obj/*'; repeatable.")
        ],
        why: Annotated[str, typer.Option(help="The reason, for everyone to read.")],
        name: Annotated[str, typer.Option(help="Who says so.")] = "",
        debug: Debug = False,
    ) -> None:
        """Take cells off a board; the ledger keeps the reason."""
        with reporting(debug):
            from .leaderboards.board import leave as take_off

            typer.echo(f"{len(take_off(board, cell, why, name).cells)} cells left {board}")

    @app.command()
    def ledger(board: BoardUrl, debug: Debug = False) -> None:
        """Show what entered, left or was scored again, and why."""
        with reporting(debug):
            from .benchmark.store import Store
            from .leaderboards.ledger import read_ledger

            for event in read_ledger(Store(board)):
                by, why = f" by {event.who}" if event.who else "", f": {event.why}" if event.why else ""
                typer.echo(f"{event.when}  {event.action}, {event.trust}{by}{why}")
                for name in event.cells:
                    typer.echo(f"    {name}")

    @app.command()
    def rescore(
        board: BoardUrl,
        metric: Annotated[list[str], typer.Option("--metric", help="Name[:key=value,...] or file.py[:name]; repeatable.")],
        why: Annotated[str, typer.Option(help="A line for the ledger.")] = "",
        model: Model = None,
        data_dir: DataDir = None,
        device: Annotated[str, typer.Option(help="A torch device.")] = "auto",
        debug: Debug = False,
    ) -> None:
        """Score every entry of a board with a metric that came or was corrected later."""
        with reporting(debug):
            from .benchmark.score import rescore as score_again
            from .leaderboards.board import rescored

            results = score_again(board, metric, model=model, data_dir=data_dir, device=device)
            events = rescored(board, results.records, why or ", ".join(metric))
            for record in results.records:
                if record.status != "done":
                    typer.echo(f"{record.model}/{record.task}/{record.folder}: {record.error}", err=True)
            typer.echo(f"{sum(len(event.cells) for event in events)} cells scored again")
        raise typer.Exit(results.exit_code)

    @app.command()
    def exchange(
        store: Annotated[str, typer.Argument(help="Folder or fsspec URL of results.")],
        out: Annotated[Path, typer.Option(help="Folder to write into.")],
        name: Annotated[str, typer.Option(help="Who evaluated.")] = "flowgauge user",
        dataset: Annotated[str, typer.Option(help="For the Hub: id of the benchmark's dataset there.")] = "",
        model: Annotated[str | None, typer.Option("--model", "-m", help="For the Hub: only this model.")] = None,
        source: Annotated[str, typer.Option(help="For the Hub: link to the board.")] = "",
        debug: Debug = False,
    ) -> None:
        """Write results as Every Eval Ever's JSON or, with --dataset, as the Hub's evaluation results (YAML)."""
        with reporting(debug):
            from .leaderboards.exchange import write_every_eval_ever, write_hub_results

            made = write_hub_results(store, out, dataset, model, source) if dataset else write_every_eval_ever(store, out, name)
            for path in made:
                typer.echo(str(path))

    @app.command()
    def publish(
        site: Annotated[Path, typer.Argument(help="A built site.")],
        url: Annotated[str, typer.Argument(help="Folder, s3://bucket/prefix, hf://datasets/owner/name, ...")],
        debug: Debug = False,
    ) -> None:
        """Copy a built site to a folder or any fsspec target."""
        with reporting(debug):
            from .leaderboards.board import publish as put

            typer.echo(f"{put(site, url)} files at {url}")


def _recheck(model: str | None, data_dir: str | None, device: str) -> Any:
    from .benchmark.recheck import Recheck

    return Recheck(model, data_dir, device)
