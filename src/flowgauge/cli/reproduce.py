"""`flowgauge reproduce`: a paper's numbers measured again, beside those that it published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .completion import complete_model
from .console import print_rows, reporting
from .options import DataDir, Debug, Device, NewStore, Quiet


def reproduce(
    paper: Annotated[
        str, typer.Argument(metavar="PAPER", help="influence-patterns, attattr, diffmask or rollout, or a TOML file of your own.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            autocompletion=complete_model,
            show_default="as the paper's file says",
            help="[RUN=]MODEL: the model of one run, or of every run that its head fits; repeatable.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few instances and few steps, to see that everything runs.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, show_default="as the paper's file says", help="Instances of each task.")
    ] = None,
    store: NewStore = None,
    data_dir: DataDir = None,
    out: Annotated[
        Path | None,
        typer.Option(show_default="none is written", help="Folder for the report as a page and as Markdown, and its figures."),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure a paper's numbers again and show them beside the published ones, with intervals and a verdict on each."""
    with reporting(debug, continues=True):
        from ..benchmark.reproduction.paper import load_paper
        from ..benchmark.reproduction.reproduce import reproduce as run_paper
        from ..leaderboards.reproduction.report import compare_with_paper, long_rows, why_lines

        loaded = load_paper(paper)
        url = store or f"results/reproduced/{loaded.name}{'-quick' if quick else ''}"
        done = run_paper(loaded, url, models=model or (), quick=quick, limit=limit, data_dir=data_dir, device=device, quiet=quiet)
        report = compare_with_paper(done)
        if not quiet:
            typer.echo("\n".join([report.title, *report.summary()]))
            for table in report.tables:
                typer.echo(f"\n{table.table.place}: {table.table.title}")
                if table.table.note:
                    typer.echo(table.table.note)
                print_rows(long_rows(table))
                typer.echo("\n".join(why_lines(table)))
            if loaded.missing:
                typer.echo("\n".join(["\nnot covered", *(f"{each.what}: {each.why}" for each in loaded.missing)]))
        if out is not None:
            from ..display.reproduction import write_report

            for path in write_report(report, out):
                typer.echo(str(path))
    raise typer.Exit(done.exit_code)
