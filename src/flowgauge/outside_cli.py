"""`flowgauge questions` and `flowgauge import`: explanations that were computed elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

Device = Annotated[str, typer.Option(help="A torch device; auto: the GPU if there is one.")]
DataDir = Annotated[str | None, typer.Option(show_default="$FLOWGAUGE_DATA, else the Hub", help="Folder of published data.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and log messages.")]

IMPORT = "\n\n".join((
    "Score explanations that were computed elsewhere (captum, inseq, a notebook).",
    "FOLDER holds explanations.safetensors and manifest.json (or .yaml). A tensor is called <instance id>/<view>; views are "
    "tokens (N), nodes (L+1, N), flows (N, L+1, N), units (L, N, H+1), heads (L, H), edges (L, 1 or H, N, N), mask and gate "
    "(L+2, N), for N tokens with [CLS] and [SEP], L layers, H heads. <instance id>/predicted/<view> explains the answer of a "
    "model that is wrong there, unless the manifest says same_for_predicted; <instance id>/input_ids is held against the model's "
    "tokens.",
    "The manifest has method, producer, producer_version and task; where they are not the defaults also model, version, "
    "settings, seed, citation, split, limit, sample_seed, dtype, max_tokens, on_split, columns, revision, same_for_predicted.",
    "In Python: flowgauge.write_explanations(FOLDER, {id: scores}, method=..., producer=..., producer_version=..., task=...).",
    "Boards show the method as outside.METHOD; names of flowgauge's own methods are refused.",
))  # fmt: skip


def add_to(app: typer.Typer, reporting: Callable[[bool], Any], tell: Callable[[Any, bool], None]) -> None:
    """Adds the commands; `reporting` turns errors into lines and exit codes, `tell` prints results."""

    @app.command()
    def questions(
        task: Annotated[str, typer.Option("--task", "-t", help="As for `flowgauge run`.")],
        model: Annotated[
            str | None, typer.Option("--model", "-m", show_default="the task's own, or agreement-bert", help="Likewise.")
        ] = None,
        limit: Annotated[int | None, typer.Option(min=1, help="Instances, balanced over conditions.")] = None,
        split: Annotated[str, typer.Option(help="The task's split.")] = "test",
        sample_seed: Annotated[int, typer.Option(min=0, help="Seed of the sample of instances.")] = 0,
        max_tokens: Annotated[int | None, typer.Option(min=1, help="Leave out sentences with more tokens.")] = None,
        data_dir: DataDir = None,
        device: Device = "auto",
        debug: Debug = False,
    ) -> None:
        """Print what a task asks of a model, one JSON object a line, for whoever explains it elsewhere."""
        with reporting(debug):
            from .benchmark.external.importer import questions as asked

            found = asked(
                task, model, device=device, data_dir=data_dir, limit=limit, split=split, sample_seed=sample_seed,
                max_tokens=max_tokens,
            )  # fmt: skip
            for one in found:
                typer.echo(json.dumps(asdict(one)))

    @app.command("import", help=IMPORT)
    def import_(
        folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What was handed in.")],
        store: Annotated[str, typer.Option(help="Folder or fsspec URL of results.")] = "results",
        metric: Annotated[
            list[str] | None,
            typer.Option("--metric", show_default="ablated_accuracy", help="Name[:key=value,...] or file.py[:name]; repeatable."),
        ] = None,
        model: Annotated[
            str | None, typer.Option("--model", "-m", help="Where the model is, if not as the manifest says.")
        ] = None,
        data_dir: DataDir = None,
        device: Device = "auto",
        batch_size: Annotated[int | None, typer.Option(min=1, help="Instances a batch.")] = None,
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no table.")] = False,
        debug: Debug = False,
    ) -> None:
        with reporting(debug):
            from .benchmark.engine.plan import DEFAULT_METRICS
            from .benchmark.external.importer import import_explanations

            results = import_explanations(
                folder, store, metric or DEFAULT_METRICS, model=model, data_dir=data_dir, device=device, batch_size=batch_size,
                quiet=quiet,
            )  # fmt: skip
            tell(results, quiet)
        raise typer.Exit(results.exit_code)
